import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { FastifyReply, FastifyRequest } from "fastify";
import { readChunked, readSized } from "./unread-body.ts";
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
  const { "transfer-encoding": encoding, "content-length": length = "0" } = request.headers;
  return readOnce(taken, encoding === undefined ? readSized(taken.socket, Number(length)) : readChunked(taken.socket));
}

async function* readOnce(taken: Takeover, body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  if (taken.isBodyRead) return;
  yield* body;
  taken.isBodyRead = true;
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
