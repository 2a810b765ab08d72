import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { EngineError } from "#base/errors";

/**
 * A request's body, read from a connection that the HTTP parser has let go of: not one byte beyond its end is taken,
 * for what follows is a process's stdin.
 */
export async function* readSized(socket: Socket, sizeBytes: number): AsyncGenerator<Buffer> {
  for (let left = sizeBytes; left > 0; ) {
    const chunk = await nextChunk(socket);
    if (chunk.length > left) socket.unshift(chunk.subarray(left));
    yield chunk.subarray(0, left);
    left -= Math.min(left, chunk.length);
  }
}

/** RFC 9112, section 7.1. Trailers are read and forgotten. */
export async function* readChunked(socket: Socket): AsyncGenerator<Buffer> {
  for (;;) {
    const [, digits] = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i.exec(await readLine(socket)) ?? [];
    if (digits === undefined) throw malformed();
    const sizeBytes = Number.parseInt(digits, 16);
    if (sizeBytes === 0) break;
    yield* readSized(socket, sizeBytes);
    if ((await readLine(socket)) !== "") throw malformed();
  }
  while ((await readLine(socket)) !== "");
}

const malformed = () => new EngineError("invalidParameter", "malformed chunked encoding");
const lineLimitBytes = 4096;

async function readLine(socket: Socket): Promise<string> {
  let line = Buffer.alloc(0);
  for (;;) {
    const chunk = await nextChunk(socket);
    const end = chunk.indexOf("\n");
    line = Buffer.concat([line, end < 0 ? chunk : chunk.subarray(0, end)]);
    if (line.length > lineLimitBytes) throw malformed();
    if (end < 0) continue;
    if (end + 1 < chunk.length) socket.unshift(chunk.subarray(end + 1));
    // A line feed alone ends it for some readers only, and what follows would be a request to the others.
    if (line.at(-1) !== 0x0d) throw malformed();
    return line.toString("latin1", 0, line.length - 1);
  }
}

async function nextChunk(socket: Socket): Promise<Buffer> {
  for (;;) {
    const chunk: unknown = socket.read();
    if (Buffer.isBuffer(chunk)) return chunk;
    await readable(socket);
  }
}

function readable(socket: Readable): Promise<void> {
  const isOver = () => socket.readableEnded || socket.destroyed;
  const ended = () => new EngineError("invalidParameter", "invalid JSON: unexpected EOF");
  if (isOver()) return Promise.reject(ended());
  return new Promise((resolve, reject) => {
    const events = ["readable", "end", "close"] as const;
    const settle = () => {
      for (const event of events) socket.off(event, settle);
      if (isOver()) reject(ended());
      else resolve();
    };
    for (const event of events) socket.on(event, settle);
  });
}
