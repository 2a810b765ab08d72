import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import { EngineError } from "#base/errors";
import { DockerResponse } from "./wire.ts";

/** What routes a request: `fastify.routing`. */
export type Routing = (request: IncomingMessage, response: DockerResponse) => void;

const upgraded = Symbol("the connection that the HTTP parser has let go of");

/** An IncomingMessage that came by Node's `upgrade` event. */
interface Upgraded {
  [upgraded]?: Socket;
}

/**
 * Sends a request of Node's `upgrade` event through the router like any other: the same hooks, versions and errors.
 * The body and what follows it are unread and lie in the socket in their order.
 */
export function routeUpgrade(
  routing: Routing,
  request: IncomingMessage & Upgraded,
  socket: Socket,
  head: Buffer,
): void {
  const response = new DockerResponse(request);
  socket.on("error", () => socket.destroy());
  try {
    response.answerOn(socket);
  } catch {
    // Pipelined behind a request that is not answered yet, which no client of Docker does.
    return void socket.destroy();
  }
  if (head.length > 0) socket.unshift(head);
  request[upgraded] = socket;
  routing(request, response);
}

export const isUpgraded = (request: IncomingMessage & Upgraded): boolean => request[upgraded] !== undefined;

/** The body of a request, wherever it still is. */
export function unreadBody(request: IncomingMessage & Upgraded): AsyncIterable<Buffer> {
  const socket = request[upgraded];
  if (socket === undefined) return request;
  if (request.headers["transfer-encoding"] !== undefined)
    throw new EngineError("invalidParameter", "a chunked body cannot go before a hijacked stream");
  return readExactly(socket, Number(request.headers["content-length"] ?? 0));
}

/**
 * Takes the connection from HTTP: from here on it belongs to the caller, bytes that the client sent early included.
 * `allowHalfOpen` is set: the client's EOF ends only its own direction.
 */
export function takeConnection(request: FastifyRequest, reply: FastifyReply): Socket {
  const raw: IncomingMessage & Upgraded = request.raw;
  const socket = raw[upgraded];
  if (socket === undefined) throw new Error(`${request.method} ${request.url} is not a route that takes over`);
  reply.hijack();
  reply.raw.detachSocket(socket);
  return socket;
}

async function* readExactly(socket: Readable, sizeBytes: number): AsyncGenerator<Buffer> {
  for (let left = sizeBytes; left > 0; ) {
    const chunk: unknown = socket.read();
    if (!Buffer.isBuffer(chunk)) {
      await readable(socket);
      continue;
    }
    if (chunk.length > left) socket.unshift(chunk.subarray(left));
    yield chunk.subarray(0, left);
    left -= Math.min(left, chunk.length);
  }
}

function readable(socket: Readable): Promise<void> {
  if (socket.readableEnded || socket.destroyed)
    return Promise.reject(new EngineError("invalidParameter", "invalid JSON: unexpected EOF"));
  return new Promise((resolve, reject) => {
    const events = ["readable", "end", "close"] as const;
    const settle = () => {
      for (const event of events) socket.off(event, settle);
      if (socket.readableEnded || socket.destroyed)
        reject(new EngineError("invalidParameter", "invalid JSON: unexpected EOF"));
      else resolve();
    };
    for (const event of events) socket.on(event, settle);
  });
}
