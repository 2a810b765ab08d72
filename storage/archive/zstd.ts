import { pipeline } from "node:stream";
import { createZstdDecompress, type ZstdDecompress, type ZstdOptions } from "node:zlib";

/**
 * Inflates all frames of a zstd stream: node's own stops behind the first when another begins in the same chunk (pzstd and
 * zstd:chunked write many).
 */
export async function* unzstd(source: AsyncIterator<Buffer, void>, options: ZstdOptions): AsyncGenerator<Buffer, void> {
  const input = new FrameInput(source);
  while (await input.hasMore()) {
    const codec = createZstdDecompress(options);
    // Its error, if there is one, is thrown by the loop over it. That it ends before its input does is no error.
    pipeline(input.chunks(codec), codec, () => undefined);
    yield* codec;
    await input.finishFrame(codec);
  }
}

/** Keeps what it has handed out until a codec has really taken it. */
class FrameInput {
  readonly #source: AsyncIterator<Buffer, void>;
  readonly #queue: Buffer[] = [];
  /** The pull under way: when a codec ends, one may still be. */
  #pulling: Promise<Buffer | undefined> = Promise.resolve(undefined);
  /** Of the present codec's input, how many bytes have left the queue. */
  #trimmed = 0;

  constructor(source: AsyncIterator<Buffer, void>) {
    this.#source = source;
  }

  async hasMore(): Promise<boolean> {
    return this.#queue.length > 0 || (await this.#pull()) !== undefined;
  }

  async *chunks(codec: ZstdDecompress): AsyncGenerator<Buffer, void> {
    yield* [...this.#queue];
    for (;;) {
      this.#trim(codec.bytesWritten);
      const chunk = await this.#pull();
      if (chunk === undefined) return;
      yield chunk;
    }
  }

  async finishFrame(codec: ZstdDecompress): Promise<void> {
    await this.#pulling;
    this.#trim(codec.bytesWritten);
    this.#trimmed = 0;
  }

  #pull(): Promise<Buffer | undefined> {
    this.#pulling = this.#source.next().then((next) => {
      if (next.done === true) return undefined;
      this.#queue.push(next.value);
      return next.value;
    });
    return this.#pulling;
  }

  #trim(consumed: number): void {
    for (let first = this.#queue[0]; first !== undefined && consumed > this.#trimmed; first = this.#queue[0]) {
      const taken = Math.min(first.length, consumed - this.#trimmed);
      this.#trimmed += taken;
      if (taken === first.length) this.#queue.shift();
      else this.#queue[0] = first.subarray(taken);
    }
  }
}
