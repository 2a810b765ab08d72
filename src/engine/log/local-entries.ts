import { Frames, fixedTime } from "./frames.ts";
import type { LogDecoder, LogFormat, LogLayout } from "./layout.ts";

/**
 * The local driver's files: protobuf entries, each between two copies of its length (4 bytes, big endian), so that a tail is
 * found by going from footer to footer (moby daemon/logger/local, api/types/plugins/logdriver/entry.proto).
 */
const lengthSize = 4;
/** moby's limit; the shim's lines have 16 KiB. */
const longestEntry = 1_000_000;
const [blank, newline, letterE] = [0x20, 0x0a, 0x65];

export const localLayout: LogLayout = {
  decoder: (format) => new LocalEntries(format),
  endOf(bytes) {
    let end = 0;
    for (let next = entryEnd(bytes, 0); next > 0; next = entryEnd(bytes, next)) end = next;
    return end;
  },
  bordersOf(bytes, isFromStart) {
    const borders = [bytes.length];
    for (let end = bytes.length; end > 0; borders.push(end)) {
      const length = end < lengthSize ? 0 : bytes.readUInt32BE(end - lengthSize);
      const start = end - length - 2 * lengthSize;
      if (start < 0 && !isFromStart && length <= longestEntry) return borders;
      if (start < 0 || bytes.readUInt32BE(start) !== length) return undefined;
      end = start;
    }
    return borders;
  },
  isBefore: (since) => (bytes, start) =>
    wideVarint(bytes, parseEntry(bytes, start, entryEnd(bytes, start)).time) < since,
};

class LocalEntries implements LogDecoder {
  readonly #format: LogFormat;
  readonly #frames: Frames;
  #isOver = false;

  constructor(format: LogFormat) {
    this.#format = format;
    this.#frames = new Frames(format);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  decode(bytes: Buffer): Buffer {
    this.#frames.begin(bytes);
    this.#isOver = false;
    for (let start = 0; start < bytes.length && !this.#isOver; ) {
      const end = entryEnd(bytes, start);
      this.#entry(bytes, start, end);
      start = end;
    }
    return this.#frames.bytes;
  }

  #entry(bytes: Buffer, start: number, end: number): void {
    // Zeros, which a machine that lost power leaves, look like that.
    if (end - start === 2 * lengthSize) return;
    const entry = parseEntry(bytes, start, end);
    const { since, until, stdout, stderr, timestamps, details } = this.#format;
    const isTimeNeeded = timestamps || since !== undefined || until !== undefined;
    const time = isTimeNeeded ? wideVarint(bytes, entry.time) : 0n;
    if (until !== undefined && time > until) {
      this.#isOver = true;
      return;
    }
    if ((since !== undefined && time < since) || !(entry.stream === 1 ? stdout : stderr)) return;
    if (timestamps) this.#frames.time.write(fixedTime(time), "latin1");
    // What stands around the text has been read.
    let { from, to } = entry;
    if (details) bytes[--from] = blank;
    if (!entry.isPartial) bytes[to++] = newline;
    this.#frames.move(entry.stream, from, to, end);
  }
}

/** Where the entry that begins at `start` ends; 0 if it is not whole yet. */
function entryEnd(bytes: Buffer, start: number): number {
  if (bytes.length - start < lengthSize) return 0;
  const length = bytes.readUInt32BE(start);
  if (length > longestEntry) throw new Error(`log message is too large (${length} > ${longestEntry})`);
  const end = start + length + 2 * lengthSize;
  return end <= bytes.length ? end : 0;
}

interface Entry {
  readonly stream: 1 | 2;
  /** Where its time is. */
  readonly time: number;
  /** Its text. */
  readonly from: number;
  readonly to: number;
  /** More of the line follows in the next entry. */
  readonly isPartial: boolean;
}

/** The entry between `start` and `end`. */
function parseEntry(bytes: Buffer, start: number, end: number): Entry {
  const begin = start + lengthSize;
  const entry = { stream: 1 as 1 | 2, time: bytes.length, from: begin, to: begin, isPartial: false };
  let isLast = false;
  const fields = new Fields(bytes, begin, end - lengthSize);
  while (fields.next()) {
    if (fields.number === 1) entry.stream = bytes[fields.from + 3] === letterE ? 2 : 1;
    else if (fields.number === 2) entry.time = fields.from;
    else if (fields.number === 3) [entry.from, entry.to] = [fields.from, fields.to];
    else if (fields.number === 4) entry.isPartial = bytes[fields.from] !== 0;
    else if (fields.number === 5) {
      const part = new Fields(bytes, fields.from, fields.to);
      while (part.next()) if (part.number === 1) isLast = bytes[part.from] !== 0;
    }
  }
  if (isLast) entry.isPartial = false;
  return entry;
}

/** Protobuf's wire format, as far as these entries use it: varints and bytes. */
class Fields {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;
  number = 0;
  /** The field's bytes; of a number, its varint. */
  from = 0;
  to = 0;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  next(): boolean {
    if (this.#at >= this.#end) return false;
    const key = this.#varint();
    this.number = key >> 3;
    this.from = this.#at;
    const value = this.#varint();
    if ((key & 7) === 2) {
      this.from = this.#at;
      this.#at += value;
    } else if ((key & 7) !== 0) throw new Error(`error unmarshalling log entry: wire type ${key & 7}`);
    this.to = this.#at;
    if (this.to > this.#end) throw unexpectedEnd();
    return true;
  }

  /** Exact for keys and lengths; a time needs more than a double holds. */
  #varint(): number {
    let value = 0;
    for (let weight = 1; this.#at < this.#end; weight *= 0x80) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) * weight;
      if (byte < 0x80) return value;
    }
    throw unexpectedEnd();
  }
}

const unexpectedEnd = () => new Error("error unmarshalling log entry: unexpected EOF");

/** The varint at `at`. */
function wideVarint(bytes: Buffer, at: number): bigint {
  let value = 0n;
  for (let [i, shift] = [at, 0n]; i < bytes.length; i++, shift += 7n) {
    const byte = bytes[i] ?? 0;
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return value;
}
