import { setTimeout as delay } from "node:timers/promises";
import type { FastifyReply, FastifyRequest } from "fastify";
import { isOlder } from "#api-schema/versions";
import { messageOf } from "#base/errors";
import type { AttachSession } from "#engine";
import { statusOf } from "./errors.ts";
import { takeConnection } from "./upgrade.ts";

export const rawStream = "application/vnd.docker.raw-stream";
const multiplexedStream = "application/vnd.docker.multiplexed-stream";

/** Clients from before 1.42 know one type only. */
export const streamType = (request: FastifyRequest, isTty: boolean): string =>
  isTty || isOlder(request.apiVersion, "1.42") ? rawStream : multiplexedStream;

/**
 * Answers and hands the connection to the session until its end. Without `Upgrade` the type is raw even when the stream
 * is multiplexed (moby: postContainersAttach, postContainerExecStart).
 */
export async function runSession(
  request: FastifyRequest,
  reply: FastifyReply,
  session: AttachSession,
  headers: readonly string[] = [],
): Promise<void> {
  const lines =
    request.headers.upgrade === undefined
      ? ["HTTP/1.1 200 OK", `Content-Type: ${rawStream}`]
      : [
          "HTTP/1.1 101 UPGRADED",
          `Content-Type: ${streamType(request, session.isTty)}`,
          "Connection: Upgrade",
          "Upgrade: tcp",
        ];
  const connection = takeConnection(request, reply);
  connection.write(`${[...lines, ...headers].join("\r\n")}\r\n\r\n`);
  try {
    await session.connect(connection);
  } catch (error) {
    const { apiLog } = request.server;
    const entry = { url: request.routeOptions.url, err: error };
    // It fails, too, when the client hangs up.
    if (connection.destroyed) apiLog.debug(entry, "stream cut off");
    else apiLog.error(entry, "stream failed");
    // Not destroyed at once: a shim that does not answer may have the connection, too.
    connection.destroySoon();
  }
}

/**
 * docker-py, which others bring under names of their own, reads the head through a buffer that it then leaves for the bare
 * connection: output that comes together with the head is lost to it. An exec of dockerd's hardly ever is as quick as that.
 */
const losesEarlyOutput = /python|docker-py|tc-py|ansible/i;
const headStartMs = 50;

/** The session, begun when such a client should have read the head. */
export function withHeadStart({ headers }: FastifyRequest, session: AttachSession): AttachSession {
  if (!losesEarlyOutput.test(headers["user-agent"] ?? "")) return session;
  return { ...session, connect: (client) => delay(headStartMs).then(() => session.connect(client)) };
}

/** moby reports a refused attach as text on the connection that it has taken already. */
export function refuseAttach(request: FastifyRequest, reply: FastifyReply, error: unknown): void {
  const code = statusOf(error);
  const connection = takeConnection(request, reply);
  const head = `HTTP/1.1 ${code} ${statusText[code] ?? ""}\r\nContent-Type: ${rawStream}\r\n\r\n`;
  connection.end(`${head}${messageOf(error)}\r\n`);
}

const statusText: Readonly<Record<number, string>> = {
  400: "Bad Request",
  404: "Not Found",
  409: "Conflict",
  500: "Internal Server Error",
};

/** The headers that every reply carries, for the one hijack that repeats them. */
export function repeatedHeaders(reply: FastifyReply): string[] {
  const { "api-version": api, "docker-experimental": experimental, ostype, server } = reply.getHeaders();
  return [`Api-Version: ${api}`, `Docker-Experimental: ${experimental}`, `Ostype: ${ostype}`, `Server: ${server}`];
}
