import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import { isOlder } from "#api-schema/versions";
import { EngineError } from "#base/errors";
import { isUpgraded, takeConnection } from "./upgrade.ts";
import { FrameReader, frameHead, opcodes } from "./websocket-frames.ts";

/** RFC 6455, section 7.4.1. */
const closeCodes = { normal: 1000, protocolError: 1002 } as const;

export interface WebSocketOptions {
  /** What the client sends matters; if not, its close is the end. */
  readonly takesInput: boolean;
}

/** Answers the handshake (RFC 6455, section 4.2); the stream carries what the messages carry, whatever their borders. */
export function acceptWebSocket(request: FastifyRequest, reply: FastifyReply, options: WebSocketOptions): Duplex {
  const { upgrade, "sec-websocket-version": version, "sec-websocket-key": key, ...headers } = request.headers;
  refuseUnless(upgrade?.toLowerCase() === "websocket" && isUpgraded(request.raw), "not websocket protocol");
  refuseUnless(version === "13", "missing or bad WebSocket Version");
  refuseUnless(key !== undefined, "mismatch challenge/response");
  const connection = takeConnection(request, reply);
  const protocol = headers["sec-websocket-protocol"]?.split(",")[0]?.trim();
  const lines = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")}`,
    ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
  ];
  connection.write(`${lines.join("\r\n")}\r\n\r\n`);
  const opcode = isOlder(request.apiVersion, "1.28") ? opcodes.text : opcodes.binary;
  return new WebSocketStream(connection, { ...options, opcode });
}

function refuseUnless(isMet: boolean, message: string): asserts isMet {
  if (!isMet) throw new EngineError("invalidParameter", message);
}

/** A websocket as a Duplex. As in dockerd, a client that closes has ended its input, and gets the output to its end. */
class WebSocketStream extends Duplex {
  readonly #socket: Socket;
  readonly #opcode: number;
  readonly #takesInput: boolean;
  readonly #frames = new FrameReader();
  #isInputOver = false;

  constructor(socket: Socket, { opcode, takesInput }: WebSocketOptions & { opcode: number }) {
    super();
    this.#socket = socket;
    this.#opcode = opcode;
    this.#takesInput = takesInput;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("end", () => this.#endInput());
    socket.on("error", () => this.destroy());
    socket.on("close", () => this.destroy());
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#socket.cork();
    this.#socket.write(frameHead(this.#opcode, chunk.length));
    this.#socket.write(chunk, done);
    this.#socket.uncork();
  }

  override _final(done: () => void): void {
    this.#close(closeCodes.normal);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#socket.writableEnded) this.#socket.destroy();
    done(error);
  }

  #receive(chunk: Buffer): void {
    if (this.#isInputOver) return;
    try {
      for (const { opcode, payload } of this.#frames.read(chunk)) {
        if (opcode === opcodes.close) return void this.#endInput();
        // Who sends pings and reads no pongs gets no more of them.
        if (opcode === opcodes.ping && !this.#socket.writableNeedDrain) this.#send(opcodes.pong, payload);
        if (opcode < opcodes.close && !this.push(payload)) this.#socket.pause();
      }
    } catch {
      this.#leave(closeCodes.protocolError);
    }
  }

  #endInput(): void {
    if (this.#isInputOver) return;
    this.#isInputOver = true;
    if (this.#takesInput) this.push(null);
    else this.#leave(closeCodes.normal);
  }

  #leave(code: number): void {
    this.#close(code);
    this.destroy();
  }

  #close(code: number): void {
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    this.#send(opcodes.close, payload);
    // What still comes is read and dropped: a close with unread bytes would reset the connection.
    this.#isInputOver = true;
    this.#socket.resume().end();
  }

  #send(opcode: number, payload: Buffer): void {
    this.#socket.write(Buffer.concat([frameHead(opcode, payload.length), payload]));
  }
}
