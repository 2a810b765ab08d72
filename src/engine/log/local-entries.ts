import { type LogFile, readFrom, type Tail } from "./files.ts";
import { fixedTime, type LogFormat } from "./json-lines.ts";

/**
 * The local driver's files: protobuf entries, each between two copies of its length (4 bytes, big endian), so that a tail is
 * found by going from footer to footer (moby daemon/logger/local, api/types/plugins/logdriver/entry.proto).
 */
const lengthSize = 4;
/** moby's limit; the shim's lines have 16 KiB. */
const longestEntry = 1_000_000;

/** Turns the bytes of such a file into what the client gets. */
export class LocalEntries {
  readonly #format: LogFormat;
  #rest: Uint8Array = new Uint8Array(0);
  #isOver = false;

  constructor(format: LogFormat) {
    this.#format = format;
  }

  /** A message later than `until` was met: nothing more is wanted. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** What the whole entries of `chunk` say; the start of an incomplete one waits for the next chunk. */
  push(chunk: Uint8Array): Buffer {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const parts: Uint8Array[] = [];
    let start = 0;
    for (let end = entryEnd(bytes, start); end > 0 && !this.#isOver; end = entryEnd(bytes, start)) {
      this.#entry(bytes.subarray(start + lengthSize, end - lengthSize), parts);
      start = end;
    }
    const text = Buffer.concat(parts);
    // A copy: the caller reads the next chunk into the same memory.
    this.#rest = new Uint8Array(bytes.subarray(start));
    return text;
  }

  #entry(message: Uint8Array, parts: Uint8Array[]): void {
    const { source, timeNs, line, isPartial } = parseEntry(message);
    const { since, until, stdout, stderr, timestamps, details, framing } = this.#format;
    if (until !== undefined && timeNs > until) {
      this.#isOver = true;
      return;
    }
    const isError = source === "stderr";
    if ((since !== undefined && timeNs < since) || !(isError ? stderr : stdout)) return;
    const prefix = Buffer.from((timestamps ? `${fixedTime(timeNs)} ` : "") + (details ? " " : ""));
    const end = isPartial ? 0 : 1;
    if (framing === "stdcopy") {
      const header = Buffer.alloc(8);
      header[0] = isError ? 2 : 1;
      header.writeUInt32BE(prefix.length + line.length + end, 4);
      parts.push(header);
    }
    parts.push(prefix, line);
    if (end === 1) parts.push(newline);
  }
}

const newline = Buffer.from("\n");

/** Where the entry that begins at `start` ends; 0 if it is not whole yet. */
function entryEnd(bytes: Uint8Array, start: number): number {
  if (bytes.length - start < lengthSize) return 0;
  const length = lengthAt(bytes, start);
  if (length > longestEntry) throw new Error(`log message is too large (${length} > ${longestEntry})`);
  const end = start + length + 2 * lengthSize;
  return end <= bytes.length ? end : 0;
}

const lengthAt = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset + at, lengthSize).getUint32(0);

interface Entry {
  readonly source: string;
  readonly timeNs: bigint;
  readonly line: Uint8Array;
  /** More of the line follows in the next entry. */
  readonly isPartial: boolean;
}

function parseEntry(message: Uint8Array): Entry {
  let [source, timeNs, isPart, isLast] = ["", 0n, false, false];
  let line: Uint8Array = new Uint8Array(0);
  for (const { number, value, bytes } of fields(message)) {
    if (number === 1) source = Buffer.from(bytes).toString();
    else if (number === 2) timeNs = value;
    else if (number === 3) line = bytes;
    else if (number === 4) isPart = value !== 0n;
    else if (number === 5) for (const part of fields(bytes)) if (part.number === 1) isLast = part.value !== 0n;
  }
  return { source, timeNs, line, isPartial: isPart && !isLast };
}

interface Field {
  readonly number: number;
  readonly value: bigint;
  readonly bytes: Uint8Array;
}

const none = new Uint8Array(0);

/** Protobuf's wire format, as far as these entries use it: varints and bytes. */
function* fields(message: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined || shift > 63n) throw new Error("error unmarshalling log entry: unexpected EOF");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const key = Number(varint());
    const value = varint();
    if ((key & 7) === 0) yield { number: key >> 3, value, bytes: none };
    else if ((key & 7) === 2) {
      const end = at + Number(value);
      yield { number: key >> 3, value: 0n, bytes: message.subarray(at, end) };
      at = end;
    } else throw new Error(`error unmarshalling log entry: wire type ${key & 7}`);
  }
}

/** The last `count` entries of a file: two small reads for each. Half an entry at the end makes it read the file whole. */
export async function findLocalTail(file: LogFile, count: number): Promise<Tail> {
  if (file.isCompressed) return countToTail(file, count);
  const footer = Buffer.alloc(lengthSize);
  const { size } = await file.handle.stat();
  let [offset, lines] = [size, 0];
  while (lines < count && offset >= 2 * lengthSize) {
    await file.handle.read(footer, 0, lengthSize, offset - lengthSize);
    const length = footer.readUInt32BE();
    const start = offset - length - 2 * lengthSize;
    const { bytesRead } = start < 0 ? { bytesRead: 0 } : await file.handle.read(footer, 0, lengthSize, start);
    if (bytesRead < lengthSize || footer.readUInt32BE() !== length) return countToTail(file, count);
    offset = start;
    lines++;
  }
  return { file, offset, skippedLines: 0, lines };
}

async function countToTail(file: LogFile, count: number): Promise<Tail> {
  let total = 0;
  for await (const _ of entries(readFrom(file, 0))) total++;
  return { file, offset: 0, skippedLines: Math.max(0, total - count), lines: Math.min(total, count) };
}

/** The bytes behind the first `count` entries. */
export async function* skipEntries(chunks: AsyncIterable<Uint8Array>, count: number): AsyncGenerator<Uint8Array> {
  let left = count;
  for await (const entry of entries(chunks)) if (left-- <= 0) yield entry;
}

async function* entries(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = none;
  for await (const chunk of chunks) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = entryEnd(bytes, start); end > 0; end = entryEnd(bytes, start)) {
      yield bytes.subarray(start, end);
      start = end;
    }
    rest = new Uint8Array(bytes.subarray(start));
  }
}
