import { createServer as createHttpServer } from "node:http";
import fastify, { type FastifyInstance } from "fastify";
import type { Log } from "#base/log";
import type { Engine } from "#engine";
import { sendError, sendNotFound } from "./errors.ts";
import { type ListenAddress, Listener } from "./listener.ts";
import { prepareRequests, type ServerIdentity } from "./request.ts";
import { addRoutes } from "./routes/table.ts";
import { NamedPaths, splitTarget } from "./urls.ts";

export interface ApiOptions extends ServerIdentity {
  readonly engine: Engine;
  readonly log: Log;
}

/** The Engine API on any number of sockets. */
export interface ApiServer extends AsyncDisposable {
  /** For `inject` in tests. */
  readonly app: FastifyInstance;
  /** Serves on one more address; the listener can be closed alone. */
  listen(address: ListenAddress): Promise<Listener>;
  /** Accepts no more and cuts off what is open, streams included. */
  close(): Promise<void>;
}

export async function createServer(options: ApiOptions): Promise<ApiServer> {
  const app = createApp(options);
  await app.ready();
  const listeners = new Set<Listener>();
  const close = async () => {
    await Promise.all(Array.from(listeners, (listener) => listener.close()));
    await app.close();
  };
  return {
    app,
    listen: async (address) => {
      const listener = await Listener.open(address, (request, response) => app.routing(request, response));
      listeners.add(listener);
      return listener;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/**
 * Fastify routes and runs hooks; the listeners are ours, because there may be several, and so is the reading of bodies:
 * to Fastify no method has one, so that no Content-Type decides what the engine sees (THREATS C4).
 */
export function createApp(options: ApiOptions): FastifyInstance {
  const paths = new NamedPaths();
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    rewriteUrl: (request) => {
      const { path, query } = splitTarget(request.url ?? "/");
      return paths.fold(request.method ?? "GET", path) + query;
    },
    routerOptions: { maxParamLength: 8192, querystringParser: () => ({}) },
    serverFactory: (handler) => createHttpServer(handler),
    frameworkErrors: (error, request, reply) => sendError(error, request, reply),
  });
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) app.addHttpMethod(method, { overrideExisting: true });
  app.decorate("apiLog", options.log);
  prepareRequests(app, options);
  app.addHook("onRoute", ({ method, url }) => {
    for (const one of [method].flat()) paths.learn(one, url);
  });
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply));
  app.setNotFoundHandler((_request, reply) => sendNotFound(reply));
  addRoutes(app, options.engine, options);
  return app;
}
