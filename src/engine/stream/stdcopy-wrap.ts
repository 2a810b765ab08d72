import { Transform, type TransformCallback } from "node:stream";

export const stdcopyHeaderSize = 8;

/** What stands before a frame's payload: the stream (1 stdout, 2 stderr, 3 the daemon's own error), three zeros, the length. */
export function putStdcopyHeader(out: Buffer, at: number, stream: 1 | 2 | 3, length: number): void {
  out.writeUInt32BE(stream * 0x1000000, at);
  out.writeUInt32BE(length, at + 4);
}

export function stdcopyHeader(stream: 1 | 2 | 3, length: number): Buffer {
  const header = Buffer.alloc(stdcopyHeaderSize);
  putStdcopyHeader(header, 0, stream, length);
  return header;
}

/** Puts a terminal's bytes into frames of stdout, for a client that did not say that it expects a terminal. */
export class StdcopyWrap extends Transform {
  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.push(stdcopyHeader(1, chunk.length));
    done(null, chunk);
  }
}
