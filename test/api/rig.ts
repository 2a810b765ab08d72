import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { type ApiServer, createServer } from "#api";
import { systemClock } from "#base/clock";
import { createLog } from "#base/log";
import { type Engine, Events } from "#engine";

/** The services' methods that a test needs, scripted; a call of any other is a TypeError and a 500. */
export type Script = { readonly [Service in keyof Engine]?: Readonly<Record<string, unknown>> };

export interface Api extends AsyncDisposable {
  readonly socketPath: string;
  readonly port: number;
  readonly events: Events;
  listen: ApiServer["listen"];
  connect(): Socket;
  /** Sends the parts one after another, ends this side, and returns all that came until the other side ended. */
  raw(...parts: string[]): Promise<string>;
}

/** The real server on a unix socket and on loopback TCP, in front of a scripted engine. */
export async function startApi(script: Script = {}): Promise<Api> {
  const directory = await mkdtemp("/var/tmp/api-test-");
  const socketPath = `${directory}/docker.sock`;
  const events = new Events(systemClock);
  const services: unknown = {
    events,
    containers: {},
    execs: {},
    images: {},
    networks: {},
    volumes: {},
    system: {},
    ...script,
  };
  const server = await createServer({
    engine: services as Engine,
    log: createLog("silent"),
    version: "28.5.2",
    minApiVersion: "1.24",
    isExperimental: false,
  });
  await server.listen({ kind: "unix", path: socketPath, mode: 0o660, gid: 0 });
  const { port } = await server.listen({ kind: "tcp", host: "127.0.0.1", port: 0 });
  const open = () => connect({ path: socketPath, allowHalfOpen: true });
  return {
    socketPath,
    port,
    events,
    listen: server.listen,
    connect: open,
    raw: (...parts) => exchange(open(), parts),
    [Symbol.asyncDispose]: async () => {
      await server.close();
      await rm(directory, { recursive: true });
    },
  };
}

export async function exchange(socket: Socket, parts: readonly string[]): Promise<string> {
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
  const ended = once(socket, "end");
  for (const part of parts) {
    socket.write(part, "latin1");
    // Each part its own segment; the server's answers are not waited for.
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.end();
  await ended;
  return text;
}

/** Until the text so far matches; what came later stays in the socket's stream. */
export async function readUntil(socket: Socket, pattern: RegExp): Promise<string> {
  let text = "";
  for (;;) {
    const chunk: unknown = socket.read();
    if (Buffer.isBuffer(chunk)) text += chunk.toString("latin1");
    if (pattern.test(text)) return text;
    if (!Buffer.isBuffer(chunk)) await once(socket, "readable");
  }
}

export const headOf = (answer: string): string[] => answer.split("\r\n\r\n")[0]?.split("\r\n") ?? [];
export const bodyOf = (answer: string): string => answer.slice(answer.indexOf("\r\n\r\n") + 4);
