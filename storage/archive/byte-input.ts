/** An archive that ends in its middle: Go's words. */
export class TruncatedError extends Error {
  readonly code = "EBADTAR";
  constructor() {
    super("unexpected EOF");
    this.name = "TruncatedError";
  }
}

const nothing = Buffer.alloc(0);

/** The chunks of a stream as a run of bytes. */
export class ByteInput {
  readonly #source: AsyncIterator<Buffer, void>;
  #buffer: Buffer = nothing;

  constructor(source: AsyncIterator<Buffer, void>) {
    this.#source = source;
  }

  /** Exactly so many bytes. */
  async take(length: number): Promise<Buffer> {
    await this.fill(length);
    if (this.#buffer.length < length) throw new TruncatedError();
    const taken = this.#buffer.subarray(0, length);
    this.skip(length);
    return taken;
  }

  /** At least so many bytes, or all that are left; they stay until they are skipped. */
  async fill(length: number): Promise<Buffer> {
    const parts = [this.#buffer];
    for (let have = this.#buffer.length; have < length; ) {
      const next = await this.#source.next();
      if (next.done === true) break;
      parts.push(next.value);
      have += next.value.length;
    }
    if (parts.length > 1) this.#buffer = Buffer.concat(parts);
    return this.#buffer;
  }

  skip(length: number): void {
    this.#buffer = this.#buffer.subarray(length);
  }
}
