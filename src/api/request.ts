import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { isOlder, maxApiVersion } from "#api-schema/versions";
import { EngineError } from "#base/errors";
import type { Log } from "#base/log";
import { readForm } from "./body.ts";
import { Query } from "./params.ts";
import { isUpgraded } from "./upgrade.ts";
import { cleanPath, splitTarget } from "./urls.ts";

declare module "fastify" {
  interface FastifyInstance {
    readonly apiLog: Log;
  }
  interface FastifyContextConfig {
    /** False for the routes of moby that never look for parameters in a body. */
    readonly hasForm?: boolean;
  }
  interface FastifyRequest {
    /** What the path asked for, or the newest. */
    apiVersion: string;
    /** The words of the query, and of a body that is a form. */
    form: Query;
    /**
     * Aborts when the client hangs up before the answer is complete. (Fastify's `signal` aborts as soon as a body was
     * read.) On a connection that was taken over only when it closes: there an EOF means "no more stdin".
     */
    clientGone: AbortSignal;
  }
}

export interface ServerIdentity {
  /** Of the engine that we are compatible with: "28.5.2". */
  readonly version: string;
  readonly minApiVersion: string;
  readonly isExperimental: boolean;
}

const never = new AbortController().signal;

/** What moby's middlewares do: version in, headers out. */
export function prepareRequests(app: FastifyInstance, identity: ServerIdentity): void {
  app.decorateRequest("apiVersion", "");
  app.decorateRequest("form");
  app.decorateRequest("clientGone");
  app.addHook("onRequest", async (request, reply) => {
    request.clientGone = never;
    const { originalUrl } = request;
    const cleaned = cleanPath(originalUrl);
    if (cleaned !== undefined) return reply.code(301).header("location", cleaned).send();
    if (request.is404) return;
    const { version, path, query } = splitTarget(originalUrl);
    app.apiLog.debug({ method: request.method, path, version }, "request");
    setVersionHeaders(reply, identity);
    request.apiVersion = version === "" ? maxApiVersion : version;
    checkVersion(request.apiVersion, identity);
    reply.header("docker-experimental", String(identity.isExperimental));
    request.clientGone = watchClient(request, reply);
    const form = request.routeOptions.config.hasForm === false ? "" : await readForm(request);
    request.form = new Query(form, query.slice(1));
  });
}

function setVersionHeaders(reply: FastifyReply, identity: ServerIdentity): void {
  reply.header("server", `Docker/${identity.version} (linux)`);
  reply.header("api-version", maxApiVersion);
  reply.header("ostype", "linux");
}

function checkVersion(version: string, { minApiVersion }: ServerIdentity): void {
  if (isOlder(version, minApiVersion))
    throw new EngineError(
      "invalidParameter",
      `client version ${version} is too old. Minimum supported API version is ${minApiVersion}, please upgrade your client to a newer version`,
    );
  if (isOlder(maxApiVersion, version))
    throw new EngineError(
      "invalidParameter",
      `client version ${version} is too new. Maximum supported API version is ${maxApiVersion}`,
    );
}

function watchClient(request: FastifyRequest, reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  const { socket } = request.raw;
  const abort = () => gone.abort();
  const event = isUpgraded(request.raw) ? "close" : "end";
  socket.once(event, abort);
  const settle = () => {
    socket.off(event, abort);
    if (!reply.raw.writableFinished) abort();
  };
  reply.raw.once("finish", settle);
  reply.raw.once("close", settle);
  return gone.signal;
}
