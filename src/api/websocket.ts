import { Duplex } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import { isOlder } from "#api-schema/versions";
import { EngineError } from "#base/errors";
import { isUpgraded, takeConnection } from "./upgrade.ts";

/** The limit of the library that dockerd uses. */
const maxPayload = 32 * 1024 * 1024;
const handshakes = new WebSocketServer({ noServer: true, clientTracking: false, maxPayload, perMessageDeflate: false });

/** Answers the handshake; the stream carries what the messages carry, whatever their borders. */
export async function acceptWebSocket(request: FastifyRequest, reply: FastifyReply): Promise<Duplex> {
  refuseUnless(
    request.headers.upgrade?.toLowerCase() === "websocket" && isUpgraded(request.raw),
    "not websocket protocol",
  );
  refuseUnless(request.headers["sec-websocket-version"] === "13", "missing or bad WebSocket Version");
  const connection = takeConnection(request, reply);
  const socket = await new Promise<WebSocket>((resolve, reject) => {
    connection.once("close", () => reject(new Error("the client has gone")));
    handshakes.handleUpgrade(request.raw, connection, Buffer.alloc(0), resolve);
  });
  return new WebSocketStream(socket, { isBinary: !isOlder(request.apiVersion, "1.28") });
}

function refuseUnless(isMet: boolean, message: string): void {
  if (!isMet) throw new EngineError("invalidParameter", message);
}

/** A websocket as a Duplex with half-close towards us only: a client that closes is gone, as websockets have it. */
class WebSocketStream extends Duplex {
  readonly #socket: WebSocket;
  readonly #isBinary: boolean;

  constructor(socket: WebSocket, { isBinary }: { isBinary: boolean }) {
    super();
    this.#socket = socket;
    this.#isBinary = isBinary;
    socket.on("message", (data) => {
      if (!this.push(bytesOf(data))) socket.pause();
    });
    socket.on("error", () => this.destroy());
    socket.on("close", () => {
      this.push(null);
      this.destroy();
    });
  }

  override _read(): void {
    if (this.#socket.isPaused) this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#socket.send(chunk, { binary: this.#isBinary }, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.close(1000);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.#socket.readyState !== this.#socket.CLOSED && !this.writableFinished) this.#socket.terminate();
    done(error);
  }
}

function bytesOf(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}
