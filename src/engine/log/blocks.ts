export const blockSize = 64 << 10;
/** 32 MiB: enough for as many followers as one log may have. */
const mostKept = 512;

/** Memory that logs are read into, used again and again: what many readers drop would grow faster than it is collected. */
export class LogBlocks {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(blockSize);
  }

  give(block: Buffer): void {
    if (this.#free.length < mostKept) this.#free.push(block);
  }
}
