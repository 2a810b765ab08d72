import { putStdcopyHeader, stdcopyHeaderSize } from "../stream/stdcopy-wrap.ts";

export interface Framing {
  /** "stdcopy" puts the eight-byte header before each message; a terminal's and a websocket's bytes go as they are. */
  readonly framing: "stdcopy" | "raw";
  readonly timestamps: boolean;
}

/** `2026-11-21T03:19:43.123456789Z`: always nine digits, so that the columns of `docker logs -t` line up. */
export const timeLength = 30;

const latest = BigInt(Date.UTC(9999, 11, 31, 23, 59, 59)) * 1_000_000n + 999_999_999n;

/** What does not fit into it, nothing was logged at. */
export function fixedTime(time: bigint): string {
  const ns = time < 0n ? 0n : time > latest ? latest : time;
  const seconds = ns / 1_000_000_000n;
  const fraction = (ns % 1_000_000_000n).toString().padStart(9, "0");
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}

/**
 * Messages as the client gets them, put together in the memory of the entries that they are read from: an entry is longer than
 * its message, nearly always, and then nothing is allocated.
 */
export class Frames {
  /** Of the next message, where it is wanted; a blank follows. */
  readonly time = Buffer.alloc(timeLength + 1, " ");
  readonly #headerLength: number;
  readonly #prefixLength: number;
  #entries: Buffer = Buffer.alloc(0);
  #out: Buffer = this.#entries;
  #length = 0;

  constructor({ framing, timestamps }: Framing) {
    this.#headerLength = framing === "stdcopy" ? stdcopyHeaderSize : 0;
    this.#prefixLength = this.#headerLength + (timestamps ? this.time.length : 0);
  }

  /** From here on `entries` are read. */
  begin(entries: Buffer): void {
    this.#entries = entries;
    this.#out = entries;
    this.#length = 0;
  }

  /** The text between `from` and `to` of these entries, the rest of which is not needed any more before `limit`. */
  move(stream: 1 | 2, from: number, to: number, limit: number): void {
    const at = this.#reserve(to - from, limit);
    if (this.#out === this.#entries) this.#out.copyWithin(at, from, to);
    else this.#entries.copy(this.#out, at, from, to);
    this.#frame(stream, at + to - from);
  }

  /** A text of its own. */
  put(stream: 1 | 2, text: Uint8Array, limit: number): void {
    const at = this.#reserve(text.length, limit);
    this.#out.set(text, at);
    this.#frame(stream, at + text.length);
  }

  get bytes(): Buffer {
    return this.#out.subarray(0, this.#length);
  }

  /** Returns where the text goes. */
  #reserve(textLength: number, limit: number): number {
    const size = this.#prefixLength + textLength;
    const room = (this.#out === this.#entries ? limit : this.#out.length) - this.#length;
    if (room < size) {
      const larger = Buffer.allocUnsafe(2 * (this.#entries.length + this.#length + size));
      this.#out.copy(larger, 0, 0, this.#length);
      this.#out = larger;
    }
    return this.#length + this.#prefixLength;
  }

  /** Header and time, now that the text does not stand there any more. */
  #frame(stream: 1 | 2, end: number): void {
    const start = this.#length;
    if (this.#prefixLength > this.#headerLength) this.#out.set(this.time, start + this.#headerLength);
    if (this.#headerLength > 0) putStdcopyHeader(this.#out, start, stream, end - start - stdcopyHeaderSize);
    this.#length = end;
  }
}
