export const blockSize = 64 << 10;
const mostKept = 64;

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
