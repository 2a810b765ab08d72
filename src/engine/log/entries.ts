import type { LogBlocks } from "./blocks.ts";
import type { LogFile } from "./files.ts";
import type { LogLayout } from "./layout.ts";

/** Longer entries than any shim writes: 16 KiB of text is at most 96 KiB of JSON, and attributes come from the command line. */
const longestEntry = 4 << 20;

/** Where in a file the wanted entries begin, in bytes. */
export interface Start {
  readonly file: LogFile;
  readonly offset: number;
}

export interface Tail extends Start {
  /** As many entries as were asked for, or all that there are. */
  readonly count: number;
}

/** A part of a file, with the borders of its entries from the last to the first; undefined where they cannot be told. */
interface Window {
  readonly bytes: Buffer;
  readonly position: number;
  readonly borders: readonly number[] | undefined;
}

/** The entries of a log's files, in whole ones, block by block. */
export class LogEntries {
  readonly #layout: LogLayout;
  readonly #blocks: LogBlocks;

  constructor(layout: LogLayout, blocks: LogBlocks) {
    this.#layout = layout;
    this.#blocks = blocks;
  }

  /** The whole ones at `offset` that `block` holds, and where the next ones are; with the same offset there are none yet. */
  async read({ file, offset }: Start, block: Buffer): Promise<{ readonly entries: Buffer; readonly next: number }> {
    const plain = await file.plain();
    for (let [into, position] = [block, offset]; ; ) {
      const { bytesRead } = await plain.read(into, 0, into.length, position);
      const end = this.#layout.endOf(into.subarray(0, bytesRead));
      if (end > 0) return { entries: into.subarray(0, end), next: position + end };
      if (bytesRead < into.length) return { entries: into.subarray(0, 0), next: offset };
      if (into.length < longestEntry) into = Buffer.allocUnsafe(4 * into.length);
      else position += bytesRead;
    }
  }

  /** The last `count` entries, found from the end. One that is not whole yet does not count. */
  async tail(file: LogFile, count: number): Promise<Tail> {
    let found = 0;
    for await (const { position, borders } of this.#backwards(file)) {
      if (borders === undefined) return this.#countedTail(file, count);
      const border = borders[count - found];
      if (border !== undefined) return { file, offset: position + border, count };
      found += borders.length - 1;
    }
    return { file, offset: 0, count: found };
  }

  /**
   * Those of a moment and later, found from the end, and perhaps some before. Times are nearly in order: the parts of a long line
   * have the time of its first one, so all of a block must be too old.
   */
  async since(file: LogFile, sinceNs: bigint): Promise<Start> {
    const isBefore = this.#layout.isBefore(sinceNs);
    let offset: number | undefined;
    for await (const { bytes, position, borders } of this.#backwards(file)) {
      if (borders === undefined) return { file, offset: 0 };
      const first = borders.slice(1).findLast((border) => !isBefore(bytes, border));
      offset = position + (first ?? borders[0] ?? 0);
      if (first === undefined) break;
    }
    return { file, offset: offset ?? 0 };
  }

  /** From the beginning, where the end does not tell. */
  async #countedTail(file: LogFile, count: number): Promise<Tail> {
    let total = 0;
    for await (const { borders } of this.#forwards(file)) total += borders.length - 1;
    let skipped = Math.max(0, total - count);
    for await (const { position, borders } of this.#forwards(file)) {
      const border = borders[borders.length - 1 - skipped];
      if (border !== undefined) return { file, offset: position + border, count: Math.min(total, count) };
      skipped -= borders.length - 1;
    }
    return { file, offset: 0, count: 0 };
  }

  async *#forwards(file: LogFile): AsyncGenerator<{ readonly position: number; readonly borders: readonly number[] }> {
    const block = this.#blocks.take();
    try {
      for (let offset = 0; ; ) {
        const { entries, next } = await this.read({ file, offset }, block);
        if (next === offset) return;
        const borders = this.#layout.bordersOf(entries, true);
        if (borders === undefined) throw new Error("an entry of the log ends with another length than it begins with");
        yield { position: next - entries.length, borders };
        offset = next;
      }
    } finally {
      this.#blocks.give(block);
    }
  }

  async *#backwards(file: LogFile): AsyncGenerator<Window> {
    const plain = await file.plain();
    const lent = this.#blocks.take();
    try {
      let block = lent;
      for (let end = (await plain.stat()).size; end > 0; ) {
        const position = Math.max(0, end - block.length);
        const { bytesRead } = await plain.read(block, 0, end - position, position);
        const bytes = block.subarray(0, bytesRead);
        const borders = this.#layout.bordersOf(bytes, position === 0);
        const isTooShort = borders !== undefined && borders.length < 2 && position > 0;
        if (isTooShort && block.length < longestEntry) {
          block = Buffer.allocUnsafe(4 * block.length);
          continue;
        }
        yield { bytes, position, borders: isTooShort ? undefined : borders };
        end = position + (borders?.at(-1) ?? 0);
      }
    } finally {
      this.#blocks.give(lent);
    }
  }
}
