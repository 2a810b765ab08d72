import { escapes } from "#base/json";
import type { LogOptions } from "../container/options.ts";

/** Which messages are wanted, and how they look on the wire. */
export interface LogFormat extends Omit<LogOptions, "follow" | "tail"> {
  /** "stdcopy" puts the eight-byte header before each message; a terminal's and a websocket's bytes go as they are. */
  readonly framing: "stdcopy" | "raw";
}

/** Longer lines than any shim writes: 16 KiB of text is at most 96 KiB of JSON, and attributes come from the command line. */
const longestLine = 4 << 20;

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const textKey = ascii('{"log":"');
const stdoutKey = ascii(',"stream":"stdout",');
const stderrKey = ascii(',"stream":"stderr",');
const timeKey = ascii('"time":"');
const [quote, backslash, newline, zero] = [0x22, 0x5c, 0x0a, 0x30];

/**
 * Turns json-file bytes into what the client gets, one pass over the bytes and no string in between: a log is read at the
 * speed of a copy. A line that is not laid out as the shim and dockerd write it takes the slow way through JSON.parse.
 */
export class LogLines {
  readonly #format: LogFormat;
  readonly #since: Uint8Array | undefined;
  readonly #until: Uint8Array | undefined;
  #rest: Uint8Array = new Uint8Array(0);
  #out: Buffer = Buffer.alloc(0);
  #length = 0;
  #isOver = false;

  constructor(format: LogFormat) {
    this.#format = format;
    this.#since = format.since === undefined ? undefined : ascii(fixedTime(format.since));
    this.#until = format.until === undefined ? undefined : ascii(fixedTime(format.until));
  }

  /** A message later than `until` was met: nothing more is wanted. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** What the complete lines of `chunk` say; the start of an incomplete one waits for the next chunk. */
  push(chunk: Uint8Array): Buffer {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#out = Buffer.allocUnsafe(bytes.length + 4096);
    this.#length = 0;
    let start = 0;
    for (let end = bytes.indexOf(newline); end >= 0 && !this.#isOver; end = bytes.indexOf(newline, start)) {
      this.#line(bytes, start, end);
      start = end + 1;
    }
    // A copy: the caller reads the next chunk into the same memory.
    this.#rest = bytes.length - start > longestLine ? new Uint8Array(0) : new Uint8Array(bytes.subarray(start));
    return this.#out.subarray(0, this.#length);
  }

  #line(bytes: Uint8Array, start: number, end: number): void {
    const begin = this.#length;
    if (this.#format.details || !this.#fastLine(bytes, start, end)) {
      this.#length = begin;
      this.#slowLine(bytes.subarray(start, end));
    }
  }

  /** False if the line is not laid out as expected; the output is then to be taken back. */
  #fastLine(bytes: Uint8Array, start: number, end: number): boolean {
    const timeEnd = end - 2;
    if (timeEnd - start < 40 || bytes[timeEnd] !== quote || !isAt(bytes, start, textKey)) return false;
    const time = bytes.lastIndexOf(quote, timeEnd - 1) + 1;
    if (!isAt(bytes, time - timeKey.length, timeKey)) return false;
    if (!this.#isWanted(bytes, time, timeEnd)) return true;

    const begin = this.#length;
    this.#reserve((end - start) * 2 + 64);
    if (this.#format.framing === "stdcopy") this.#length += 8;
    if (this.#format.timestamps) this.#timestamp(bytes, time, timeEnd);
    const textEnd = this.#text(bytes, start + textKey.length, end);
    if (textEnd < 0) return false;
    const stream = isAt(bytes, textEnd + 1, stdoutKey) ? 1 : isAt(bytes, textEnd + 1, stderrKey) ? 2 : 0;
    if (stream === 0) return false;
    this.#finish(begin, stream);
    return true;
  }

  #slowLine(line: Uint8Array): void {
    const message = parseMessage(line);
    if (message === undefined) return;
    const time = ascii(message.time);
    if (!this.#isWanted(time, 0, time.length)) return;
    const details = this.#format.details ? `${formatAttributes(message.attrs)} ` : "";
    const text = Buffer.from(details + message.log);
    const begin = this.#length;
    this.#reserve(text.length + 64);
    if (this.#format.framing === "stdcopy") this.#length += 8;
    if (this.#format.timestamps) this.#timestamp(time, 0, time.length);
    this.#out.set(text, this.#length);
    this.#length += text.length;
    this.#finish(begin, message.stream === "stderr" ? 2 : 1);
  }

  /** Writes the header that was left open at `begin`, or takes a message of an unwanted stream back. */
  #finish(begin: number, stream: 1 | 2): void {
    const isAsked = stream === 1 ? this.#format.stdout : this.#format.stderr;
    if (!isAsked) this.#length = begin;
    else if (this.#format.framing === "stdcopy") {
      this.#out.writeUInt32BE(stream * 0x1000000, begin);
      this.#out.writeUInt32BE(this.#length - begin - 8, begin + 4);
    }
  }

  #isWanted(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#until !== undefined && compareTimes(bytes, start, end, this.#until) > 0) {
      this.#isOver = true;
      return false;
    }
    return this.#since === undefined || compareTimes(bytes, start, end, this.#since) >= 0;
  }

  /** RFC 3339 with nine digits always: the columns of `docker logs -t` line up. */
  #timestamp(bytes: Uint8Array, start: number, end: number): void {
    const out = this.#out;
    for (let i = 0; i < fixedLength - 1; i++) out[this.#length++] = digitAt(bytes, start, end, i);
    out[this.#length++] = 0x5a;
    out[this.#length++] = 0x20;
  }

  /** Decodes the JSON string that starts at `from`; returns where its closing quote is, −1 if it is none. */
  #text(bytes: Uint8Array, from: number, end: number): number {
    const out = this.#out;
    let length = this.#length;
    for (let i = from; i < end; i++) {
      const byte = bytes[i] ?? 0;
      if (byte === quote) {
        this.#length = length;
        return i;
      }
      if (byte !== backslash) {
        out[length++] = byte;
        continue;
      }
      const code = bytes[++i] ?? 0;
      if (code === 0x75) {
        const unit = hex4(bytes, i + 1);
        if (unit < 0 || (unit >= 0xd800 && unit < 0xe000)) return -1;
        length = writeUtf8(out, length, unit);
        i += 4;
      } else {
        const plain = escapeCodes[code] ?? 0;
        if (plain === 0) return -1;
        out[length++] = plain;
      }
    }
    return -1;
  }

  #reserve(size: number): void {
    if (this.#out.length - this.#length >= size) return;
    const larger = Buffer.allocUnsafe(this.#out.length * 2 + size);
    this.#out.copy(larger, 0, 0, this.#length);
    this.#out = larger;
  }
}

const escapeCodes = new Uint8Array(256);
for (const [letter, plain] of Object.entries(escapes)) escapeCodes[letter.charCodeAt(0)] = plain.charCodeAt(0);

function isAt(bytes: Uint8Array, position: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[position + i] !== text[i]) return false;
  return true;
}

function hex4(bytes: Uint8Array, from: number): number {
  let value = 0;
  for (let i = from; i < from + 4; i++) {
    const byte = bytes[i] ?? 0;
    const lower = byte | 0x20;
    const digit = byte >= zero && byte <= 0x39 ? byte - zero : lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

function writeUtf8(out: Uint8Array, at: number, unit: number): number {
  let length = at;
  if (unit < 0x80) out[length++] = unit;
  else {
    if (unit < 0x800) out[length++] = 0xc0 | (unit >> 6);
    else {
      out[length++] = 0xe0 | (unit >> 12);
      out[length++] = 0x80 | ((unit >> 6) & 0x3f);
    }
    out[length++] = 0x80 | (unit & 0x3f);
  }
  return length;
}

/** `2026-11-21T03:19:43.123456789Z` */
const fixedLength = 30;
const wholeLength = 19;

export function fixedTime(ns: bigint): string {
  const seconds = ns / 1_000_000_000n;
  const fraction = (ns % 1_000_000_000n).toString().padStart(9, "0");
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, wholeLength)}.${fraction}Z`;
}

/** The character at `index` of the fixed form, whatever number of digits the time at `start` has. */
function digitAt(bytes: Uint8Array, start: number, end: number, index: number): number {
  if (index === wholeLength) return 0x2e;
  return start + index < end - 1 ? (bytes[start + index] ?? zero) : zero;
}

/** UTC times of one width are ordered as their text is. */
function compareTimes(bytes: Uint8Array, start: number, end: number, fixed: Uint8Array): number {
  for (let i = 0; i < fixedLength - 1; i++) {
    const difference = digitAt(bytes, start, end, i) - (fixed[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

interface Message {
  readonly log: string;
  readonly stream: string;
  readonly time: string;
  readonly attrs: Readonly<Record<string, string>>;
}

function parseMessage(line: Uint8Array): Message | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(line.buffer, line.byteOffset, line.length).toString());
  } catch {
    return undefined; // Half a line, from a machine that lost power: the rest of the log is worth showing.
  }
  if (typeof parsed !== "object" || parsed === null) return undefined;
  const { log, stream, time, attrs } = parsed as Record<string, unknown>;
  if (typeof time !== "string") return undefined;
  return {
    log: typeof log === "string" ? log : "",
    stream: typeof stream === "string" ? stream : "",
    time,
    attrs: typeof attrs === "object" && attrs !== null ? (attrs as Record<string, string>) : {},
  };
}

/** `k=v,k2=v2`, sorted and escaped as Go's url.QueryEscape does it. */
function formatAttributes(attrs: Readonly<Record<string, string>>): string {
  return Object.entries(attrs)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${queryEscape(key)}=${queryEscape(value)}`)
    .join(",");
}

function queryEscape(text: string): string {
  const special = (c: string) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(text.toWellFormed())
    .replace(/[!'()*]/g, special)
    .replaceAll("%20", "+");
}
