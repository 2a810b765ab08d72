import type { LogBlocks } from "./blocks.ts";

/** A stretch of a log as the client gets it. */
export interface Chunk {
  readonly text: Buffer;
  /** Where in the file the next one begins; where this one does if there is nothing yet. */
  readonly next: number;
  /** A message later than `until` was met: nothing more is wanted. */
  readonly isOver: boolean;
}

/** Reads into that memory; the text may lie in it. */
type Render = (block: Buffer) => Promise<Chunk>;

/**
 * Chunks for all who want the same one at the same time: five hundred followers read and decode as one, and hold the memory of one. Who is
 * slower than the others holds one of his own.
 */
export class LogChunks {
  readonly #blocks: LogBlocks;
  readonly #shared = new Map<string, SharedChunk>();

  constructor(blocks: LogBlocks) {
    this.#blocks = blocks;
  }

  /** `key` says what is read, and how it is rendered. */
  async take(key: string, offset: number, render: Render): Promise<Disposable & Chunk> {
    const place = `${offset} ${key}`;
    for (let isNew = false; ; isNew = true) {
      const found = this.#shared.get(place);
      const shared = found ?? this.#begin(place, offset, render);
      const chunk = await shared.hold();
      // "Nothing yet" may have been found before this reader asked: then it is not an answer.
      if (chunk.next > offset || found === undefined || isNew)
        return { ...chunk, [Symbol.dispose]: () => shared.release() };
      shared.release();
    }
  }

  #begin(place: string, offset: number, render: Render): SharedChunk {
    const block = this.#blocks.take();
    const leave = () => this.#shared.get(place) === shared && this.#shared.delete(place);
    const rendered = render(block).then(
      (chunk) => {
        if (chunk.next === offset) leave();
        return chunk;
      },
      (error: unknown) => {
        leave();
        throw error;
      },
    );
    const shared = new SharedChunk(rendered, () => {
      leave();
      this.#blocks.give(block);
    });
    this.#shared.set(place, shared);
    return shared;
  }
}

class SharedChunk {
  readonly #rendered: Promise<Chunk>;
  readonly #free: () => void;
  #holders = 0;

  constructor(rendered: Promise<Chunk>, free: () => void) {
    this.#rendered = rendered;
    this.#free = free;
  }

  async hold(): Promise<Chunk> {
    this.#holders++;
    try {
      return await this.#rendered;
    } catch (error) {
      this.release();
      throw error;
    }
  }

  release(): void {
    if (--this.#holders === 0) this.#free();
  }
}
