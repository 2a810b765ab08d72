import { Transform, type TransformCallback } from "node:stream";

const headerSize = 8;

/** Takes the stdcopy headers off, so that stdout and stderr are one raw stream: what a websocket client gets. */
export class StdcopyStrip extends Transform {
  #header: Buffer = Buffer.alloc(0);
  #left = 0;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#left === 0) {
        const wanted = headerSize - this.#header.length;
        this.#header = Buffer.concat([this.#header, rest.subarray(0, wanted)]);
        rest = rest.subarray(wanted);
        if (this.#header.length < headerSize) break;
        this.#left = this.#header.readUInt32BE(4);
        this.#header = Buffer.alloc(0);
      } else {
        const payload = rest.subarray(0, this.#left);
        this.#left -= payload.length;
        rest = rest.subarray(payload.length);
        this.push(payload);
      }
    }
    done();
  }
}
