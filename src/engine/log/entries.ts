import type { LogBlocks } from "./blocks.ts";
import { decompressed, type LogFile } from "./files.ts";
import type { LogLayout } from "./layout.ts";

/** Longer entries than any shim writes: 16 KiB of text is at most 96 KiB of JSON, and attributes come from the command line. */
const longestEntry = 4 << 20;

/** Where in a file the wanted entries begin. */
export interface Start {
  readonly file: LogFile;
  /** Byte position. A compressed file is read from its beginning or not at all; there `skipped` says how many entries to pass over. */
  readonly offset: number;
  readonly skipped: number;
}

export interface Tail extends Start {
  /** As many entries as were asked for, or all that there are. */
  readonly count: number;
}

export const startAt = (file: LogFile, offset: number): Start => ({ file, offset, skipped: 0 });

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

  /** To where the file ends now. Each chunk is valid, and its memory the caller's, until the next one is asked for. */
  read({ file, offset, skipped }: Start): AsyncIterable<Buffer> {
    const entries = file.isCompressed ? this.#readCompressed(file, offset) : this.#readPlain(file, offset);
    return skipped === 0 ? entries : this.#skip(entries, skipped);
  }

  /** The last `count` entries, found from the end. One that is not whole yet does not count. */
  async tail(file: LogFile, count: number): Promise<Tail> {
    if (file.isCompressed) return this.#countedTail(file, count);
    let found = 0;
    for await (const { position, borders } of this.#backwards(file)) {
      if (borders === undefined) return this.#countedTail(file, count);
      const border = borders[count - found];
      if (border !== undefined) return { ...startAt(file, position + border), count };
      found += borders.length - 1;
    }
    return { ...startAt(file, 0), count: found };
  }

  /**
   * Those of a moment and later, found from the end, and perhaps some before. Times are nearly in order: the parts of a long line
   * have the time of its first one, so all of a block must be too old.
   */
  async since(file: LogFile, sinceNs: bigint): Promise<Start> {
    if (file.isCompressed) return startAt(file, 0);
    const isBefore = this.#layout.isBefore(sinceNs);
    let offset: number | undefined;
    for await (const { bytes, position, borders } of this.#backwards(file)) {
      if (borders === undefined) return startAt(file, 0);
      const first = borders.slice(1).findLast((border) => !isBefore(bytes, border));
      offset = position + (first ?? borders[0] ?? 0);
      if (first === undefined) break;
    }
    return startAt(file, offset ?? 0);
  }

  async *#readPlain(file: LogFile, offset: number): AsyncGenerator<Buffer> {
    const lent = this.#blocks.take();
    try {
      let block = lent;
      for (let position = offset; ; ) {
        const { bytesRead } = await file.handle.read(block, 0, block.length, position);
        const end = this.#layout.endOf(block.subarray(0, bytesRead));
        if (end > 0) yield block.subarray(0, end);
        if (bytesRead < block.length) return;
        position += end;
        if (end > 0) continue;
        if (block.length < longestEntry) block = Buffer.allocUnsafe(4 * block.length);
        else position += bytesRead;
      }
    } finally {
      this.#blocks.give(lent);
    }
  }

  async *#readCompressed(file: LogFile, offset: number): AsyncGenerator<Buffer> {
    if (offset > 0) return;
    let rest: Buffer = Buffer.alloc(0);
    for await (const chunk of decompressed(file)) {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const end = this.#layout.endOf(bytes);
      // A copy: the memory of what is passed on may be written to.
      rest = bytes.length - end > longestEntry ? Buffer.alloc(0) : Buffer.from(bytes.subarray(end));
      if (end > 0) yield bytes.subarray(0, end);
    }
  }

  async *#skip(chunks: AsyncIterable<Buffer>, count: number): AsyncGenerator<Buffer> {
    let left = count;
    for await (const chunk of chunks) {
      if (left === 0) {
        yield chunk;
        continue;
      }
      const borders = this.#bordersOf(chunk);
      const first = borders[borders.length - 1 - left];
      if (first === undefined) left -= borders.length - 1;
      else {
        left = 0;
        yield chunk.subarray(first);
      }
    }
  }

  async #countedTail(file: LogFile, count: number): Promise<Tail> {
    let total = 0;
    for await (const chunk of this.read(startAt(file, 0))) total += this.#bordersOf(chunk).length - 1;
    return { file, offset: 0, skipped: Math.max(0, total - count), count: Math.min(total, count) };
  }

  #bordersOf(entries: Buffer): readonly number[] {
    const borders = this.#layout.bordersOf(entries, true);
    if (borders === undefined) throw new Error("an entry of the log ends with another length than it begins with");
    return borders;
  }

  async *#backwards(file: LogFile): AsyncGenerator<Window> {
    const lent = this.#blocks.take();
    try {
      let block = lent;
      for (let end = (await file.handle.stat()).size; end > 0; ) {
        const position = Math.max(0, end - block.length);
        const { bytesRead } = await file.handle.read(block, 0, end - position, position);
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
