import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import { EngineError } from "#base/errors";
import { DockerResponse, hasBody } from "./wire.ts";

/** What routes a request: `fastify.routing`. */
export type Routing = (request: IncomingMessage, response: DockerResponse) => void;

const takeover = Symbol("the connection that the HTTP parser has let go of");

interface Takeover {
  readonly socket: Socket;
  isBodyRead: boolean;
}

/** An IncomingMessage that came by Node's `upgrade` event. */
interface Upgraded {
  [takeover]?: Takeover;
}

/**
 * Sends a request of Node's `upgrade` event through the router like any other: the same hooks, versions and errors.
 * The body and what follows it are unread and lie in the socket in their order. If the answer is an ordinary one after
 * all, the connection goes back to the server with `resume`, unless a body is left in it that would pass for a request.
 */
export function routeUpgrade(
  routing: Routing,
  request: IncomingMessage & Upgraded,
  { socket, head, resume }: { socket: Socket; head: Buffer; resume: () => void },
): void {
  const response = new DockerResponse(request);
  const fail = () => socket.destroy();
  socket.on("error", fail);
  try {
    response.assignSocket(socket);
  } catch {
    // Pipelined behind a request that is not answered yet, which no client of Docker does.
    fail();
    return;
  }
  if (head.length > 0) socket.unshift(head);
  const taken: Takeover = { socket, isBodyRead: !hasBody(request) };
  request[takeover] = taken;
  response.endsConnection = () => !taken.isBodyRead || wantsClose(request) || socket.readableEnded;
  response.once("finish", () => {
    const isOver = response.endsConnection();
    response.detachSocket(socket);
    if (isOver) return void socket.end();
    socket.off("error", fail);
    resume();
  });
  routing(request, response);
}

const wantsClose = ({ headers, httpVersion }: IncomingMessage): boolean =>
  httpVersion === "1.0" || /\bclose\b/i.test(headers.connection ?? "");

export const isUpgraded = (request: IncomingMessage & Upgraded): boolean => request[takeover] !== undefined;

/** The body of a request, wherever it still is. */
export function unreadBody(request: IncomingMessage & Upgraded): AsyncIterable<Buffer> {
  const taken = request[takeover];
  if (taken === undefined) return request;
  if (request.headers["transfer-encoding"] !== undefined)
    throw new EngineError("invalidParameter", "a chunked body cannot go before a hijacked stream");
  return readExactly(taken, Number(request.headers["content-length"] ?? 0));
}

/** A body that nobody asked for (dockerode sends one to attach) must not become the first bytes of the stream. */
export async function skipBody(request: FastifyRequest): Promise<void> {
  for await (const _ of unreadBody(request.raw));
}

/**
 * Takes the connection from HTTP: from here on it belongs to the caller, bytes that the client sent early included.
 * `allowHalfOpen` is set: the client's EOF ends only its own direction.
 */
export function takeConnection(request: FastifyRequest, reply: FastifyReply): Socket {
  const raw: IncomingMessage & Upgraded = request.raw;
  const socket = raw[takeover]?.socket;
  if (socket === undefined) throw new Error(`${request.method} ${request.url} is not a route that takes over`);
  reply.hijack();
  reply.raw.detachSocket(socket);
  return socket;
}

async function* readExactly(taken: Takeover, sizeBytes: number): AsyncGenerator<Buffer> {
  const { socket } = taken;
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
  taken.isBodyRead = true;
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
