const blockSize = 64 << 10;
/** 2 MiB of them lie ready; who reads one log reads the same ones. */
const mostKept = 32;

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
