/*
 * The decoder of LZMA2 chunks, from the LZMA specification (Igor Pavlov, lzma-specification.txt) and that of .xz (tukaani.org).
 * State is kept between chunks as their control bytes say.
 */

export class XzError extends Error {
  readonly code = "EBADTAR";
  constructor(what: string) {
    super(`xz data invalid: ${what}`);
    this.name = "XzError";
  }
}

const half = 1 << 10;
const top = 2 ** 24;
/** The longest chunk's bytes: so much is written before anyone reads. */
const longestChunk = 1 << 21;

const probabilities = (count: number): Uint16Array => new Uint16Array(count).fill(half);

/** Reads single bits of changing probability (range coder). */
class RangeDecoder {
  #bytes: Uint8Array = new Uint8Array(0);
  #position = 0;
  #range = 0;
  #code = 0;

  start(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#position = 5;
    this.#range = 0xffffffff;
    const [first = 1, a = 0, b = 0, c = 0, d = 0] = bytes;
    if (first !== 0 || bytes.length < 5) throw new XzError("corrupt range coder");
    this.#code = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  }

  get isFinished(): boolean {
    return this.#position === this.#bytes.length && this.#code === 0;
  }

  bit(model: Uint16Array, index: number): number {
    const probability = model[index] ?? half;
    const bound = (this.#range >>> 11) * probability;
    let bit = 0;
    if (this.#code < bound) {
      this.#range = bound;
      model[index] = probability + ((2048 - probability) >>> 5);
    } else {
      this.#range -= bound;
      this.#code -= bound;
      model[index] = probability - (probability >>> 5);
      bit = 1;
    }
    if (this.#range < top) this.#normalize();
    return bit;
  }

  /** Bits that are as likely 0 as 1. */
  direct(count: number): number {
    let value = 0;
    for (let left = count; left > 0; left--) {
      this.#range = this.#range >>> 1;
      const bit = this.#code >= this.#range ? 1 : 0;
      if (bit === 1) this.#code -= this.#range;
      value = value * 2 + bit;
      if (this.#range < top) this.#normalize();
    }
    return value;
  }

  tree(model: Uint16Array, start: number, bits: number): number {
    let symbol = 1;
    for (let left = bits; left > 0; left--) symbol = (symbol << 1) | this.bit(model, start + symbol);
    return symbol - (1 << bits);
  }

  /** Least significant bit first. */
  reverseTree(model: Uint16Array, start: number, bits: number): number {
    let [symbol, value] = [1, 0];
    for (let i = 0; i < bits; i++) {
      const bit = this.bit(model, start + symbol);
      symbol = (symbol << 1) | bit;
      value |= bit << i;
    }
    return value;
  }

  #normalize(): void {
    // Past the end zeros come: the chunk is then not finished, which is looked at.
    const next = this.#bytes[this.#position++] ?? 0;
    this.#range = (this.#range << 8) >>> 0;
    this.#code = ((this.#code << 8) | next) >>> 0;
  }
}

class LengthModel {
  readonly #choice = probabilities(2);
  readonly #low = probabilities(16 << 3);
  readonly #middle = probabilities(16 << 3);
  readonly #high = probabilities(256);

  decode(range: RangeDecoder, place: number): number {
    if (range.bit(this.#choice, 0) === 0) return range.tree(this.#low, place << 3, 3);
    if (range.bit(this.#choice, 1) === 0) return 8 + range.tree(this.#middle, place << 3, 3);
    return 16 + range.tree(this.#high, 0, 8);
  }
}

/** All that a state reset sets back. */
class Models {
  readonly isMatch = probabilities(12 << 4);
  readonly isRepeat = probabilities(12);
  readonly isRepeatG0 = probabilities(12);
  readonly isRepeatG1 = probabilities(12);
  readonly isRepeatG2 = probabilities(12);
  readonly isRepeat0Long = probabilities(12 << 4);
  readonly slots = probabilities(4 << 6);
  readonly distances = probabilities(115);
  readonly align = probabilities(16);
  readonly length = new LengthModel();
  readonly repeatLength = new LengthModel();
  readonly literals: Uint16Array;

  constructor(literalBits: number) {
    this.literals = probabilities(0x300 << literalBits);
  }
}

interface Properties {
  readonly lc: number;
  readonly lp: number;
  readonly pb: number;
}

export class LzmaDecoder {
  readonly #window: Uint8Array;
  readonly #dictionarySize: number;
  readonly #range = new RangeDecoder();
  #properties: Properties | undefined;
  #models = new Models(0);
  #at = 0;
  /** Bytes since the dictionary was reset. */
  #processed = 0;
  #state = 0;
  #distances: [number, number, number, number] = [0, 0, 0, 0];

  constructor(dictionarySize: number) {
    this.#dictionarySize = dictionarySize;
    this.#window = new Uint8Array(dictionarySize + longestChunk);
  }

  resetDictionary(): void {
    this.#processed = 0;
  }

  setProperties(byte: number): void {
    const [lc, lp, pb] = [byte % 9, Math.floor(byte / 9) % 5, Math.floor(byte / 45)];
    if (pb > 4 || lc + lp > 4) throw new XzError("bad LZMA properties");
    this.#properties = { lc, lp, pb };
  }

  resetState(): void {
    const { lc, lp } = this.#required();
    this.#models = new Models(lc + lp);
    this.#state = 0;
    this.#distances = [0, 0, 0, 0];
  }

  copy(bytes: Uint8Array): void {
    for (const byte of bytes) this.#put(byte);
  }

  /** A chunk's bytes. */
  decode(compressed: Uint8Array, length: number): Buffer {
    const properties = this.#required();
    this.#range.start(compressed);
    const output = Buffer.allocUnsafe(length);
    const begin = this.#at;
    for (let done = 0; done < length; ) done += this.#symbol(properties, length - done);
    if (!this.#range.isFinished) throw new XzError("a chunk has another length than it says");
    const tail = Math.min(length, this.#window.length - begin);
    output.set(this.#window.subarray(begin, begin + tail));
    output.set(this.#window.subarray(0, length - tail), tail);
    return output;
  }

  #required(): Properties {
    if (this.#properties === undefined) throw new XzError("a chunk without properties");
    return this.#properties;
  }

  /** One literal or match; how many bytes it gave. */
  #symbol(properties: Properties, room: number): number {
    const place = this.#processed & ((1 << properties.pb) - 1);
    const index = (this.#state << 4) + place;
    if (this.#range.bit(this.#models.isMatch, index) === 0) {
      this.#put(this.#literal(properties));
      const state = this.#state;
      this.#state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
      return 1;
    }
    const length = this.#range.bit(this.#models.isRepeat, this.#state) === 0 ? this.#match(place) : this.#repeat(place);
    const [distance] = this.#distances;
    if (distance >= this.#processed || distance >= this.#dictionarySize) throw new XzError("a distance too far");
    if (length > room) throw new XzError("a match beyond its chunk");
    let from = this.#at - distance - 1;
    if (from < 0) from += this.#window.length;
    for (let left = length; left > 0; left--) {
      this.#put(this.#window[from++] ?? 0);
      if (from === this.#window.length) from = 0;
    }
    return length;
  }

  #put(byte: number): void {
    this.#window[this.#at++] = byte;
    if (this.#at === this.#window.length) this.#at = 0;
    this.#processed++;
  }

  #byteBefore(distance: number): number {
    const at = this.#at - distance - 1;
    return this.#window[at < 0 ? at + this.#window.length : at] ?? 0;
  }

  #literal({ lc, lp }: Properties): number {
    const { literals } = this.#models;
    const before = this.#processed === 0 ? 0 : this.#byteBefore(0);
    const start = 0x300 * (((this.#processed & ((1 << lp) - 1)) << lc) + (before >>> (8 - lc)));
    let symbol = 1;
    if (this.#state >= 7) {
      // After a match the byte that would have followed it is a hint.
      let hint = this.#byteBefore(this.#distances[0]);
      while (symbol < 0x100) {
        const hinted = (hint >>> 7) & 1;
        hint <<= 1;
        const bit = this.#range.bit(literals, start + ((1 + hinted) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (bit !== hinted) break;
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#range.bit(literals, start + symbol);
    return symbol & 0xff;
  }

  #match(place: number): number {
    const [first, second, third] = this.#distances;
    const length = this.#models.length.decode(this.#range, place);
    this.#state = this.#state < 7 ? 7 : 10;
    this.#distances = [this.#distance(length), first, second, third];
    return length + 2;
  }

  #repeat(place: number): number {
    const { isRepeatG0, isRepeatG1, isRepeatG2, isRepeat0Long, repeatLength } = this.#models;
    const [first, second, third, fourth] = this.#distances;
    const state = this.#state;
    if (this.#range.bit(isRepeatG0, state) === 0) {
      if (this.#range.bit(isRepeat0Long, (state << 4) + place) === 0) {
        this.#state = state < 7 ? 9 : 11;
        return 1;
      }
    } else if (this.#range.bit(isRepeatG1, state) === 0) this.#distances = [second, first, third, fourth];
    else if (this.#range.bit(isRepeatG2, state) === 0) this.#distances = [third, first, second, fourth];
    else this.#distances = [fourth, first, second, third];
    this.#state = state < 7 ? 8 : 11;
    return repeatLength.decode(this.#range, place) + 2;
  }

  #distance(length: number): number {
    const { slots, distances, align } = this.#models;
    const slot = this.#range.tree(slots, Math.min(length, 3) << 6, 6);
    if (slot < 4) return slot;
    const bits = (slot >>> 1) - 1;
    const base = (2 | (slot & 1)) * 2 ** bits;
    if (slot < 14) return base + this.#range.reverseTree(distances, base - slot, bits);
    return base + this.#range.direct(bits - 4) * 16 + this.#range.reverseTree(align, 0, 4);
  }
}
