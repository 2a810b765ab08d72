import { writeSync } from "node:fs";

const bufferBytes = 1 << 18;

/** Gathers small writes to a descriptor that may block. For worker threads. */
export class FdWriter {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(bufferBytes);
  #length = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(chunk: Uint8Array): void {
    if (this.#length + chunk.length > bufferBytes) this.flush();
    if (chunk.length >= bufferBytes) {
      this.#writeOut(chunk);
      return;
    }
    this.#buffer.set(chunk, this.#length);
    this.#length += chunk.length;
  }

  flush(): void {
    this.#writeOut(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
  }

  #writeOut(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
  }
}
