import { parseGoTime, rfc3339 } from "#base/go-time";
import { escapes } from "#base/json";
import { Frames, fixedTime, timeLength } from "./frames.ts";
import type { LogDecoder, LogFormat, LogLayout } from "./layout.ts";

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const textKey = ascii('{"log":"');
const stdoutKey = ascii(',"stream":"stdout",');
const stderrKey = ascii(',"stream":"stderr",');
const timeKey = ascii('"time":"');
const lineEnd = ascii('Z"}\n');
const [quote, backslash, newline, zero, letterN, letterU] = [0x22, 0x5c, 0x0a, 0x30, 0x6e, 0x75];

export const jsonLayout: LogLayout = {
  decoder: (format) => new LogLines(format),
  endOf: (bytes) => bytes.lastIndexOf(newline) + 1,
  bordersOf(bytes, isFromStart) {
    const borders: number[] = [];
    let at = bytes.lastIndexOf(newline);
    for (; at >= 0; at = at === 0 ? -1 : bytes.lastIndexOf(newline, at - 1)) borders.push(at + 1);
    if (isFromStart) borders.push(0);
    return borders;
  },
  isBefore(since) {
    const fixed = ascii(fixedTime(since));
    return (bytes, start) => {
      const time = timeValue(bytes, start);
      return time < 0 || compareTimes(bytes, time, bytes.indexOf(quote, time), fixed) < 0;
    };
  },
};

/**
 * Turns json-file bytes into what the client gets, in the memory where they are and with no string in between: a log is read at
 * the speed of a copy. A line that is not laid out as the shim and dockerd write it takes the slow way through JSON.parse.
 */
class LogLines implements LogDecoder {
  readonly #format: LogFormat;
  readonly #since: Uint8Array | undefined;
  readonly #until: Uint8Array | undefined;
  readonly #frames: Frames;
  #lines: Buffer = Buffer.alloc(0);
  /** Between where the last line was looked at and here there is none. */
  #nextBackslash = 0;
  #isOver = false;

  constructor(format: LogFormat) {
    this.#format = format;
    this.#frames = new Frames(format);
    this.#since = format.since === undefined ? undefined : ascii(fixedTime(format.since));
    this.#until = format.until === undefined ? undefined : ascii(fixedTime(format.until));
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  decode(lines: Buffer): Buffer {
    this.#lines = lines;
    this.#frames.begin(lines);
    this.#isOver = false;
    this.#nextBackslash = 0;
    for (let start = 0; start < lines.length && !this.#isOver; ) {
      const next = this.#format.details ? -1 : this.#fastLine(start);
      start = next < 0 ? this.#slowLine(start) : next;
    }
    return this.#frames.bytes;
  }

  /** Returns where the next line starts; −1 if this one is not laid out as expected, and then it is untouched. */
  #fastLine(start: number): number {
    const bytes = this.#lines;
    if (!isAt(bytes, start, textKey)) return -1;
    const from = start + textKey.length;
    const textEnd = closingQuote(bytes, from);
    const stream = isAt(bytes, textEnd + 1, stdoutKey) ? 1 : isAt(bytes, textEnd + 1, stderrKey) ? 2 : 0;
    if (stream === 0) return -1;
    const time = timeValue(bytes, textEnd + 1 + stdoutKey.length);
    const timeEnd = bytes.indexOf(quote, time);
    if (time < 0 || !isAt(bytes, timeEnd - 1, lineEnd)) return -1;

    const next = timeEnd - 1 + lineEnd.length;
    if (!this.#isWanted(stream, bytes, time, timeEnd)) return next;
    const end = this.#unescape(from, textEnd);
    if (end < 0) return next;
    if (this.#format.timestamps) copyTime(bytes, time, timeEnd, this.#frames.time);
    this.#frames.move(stream, from, end, next);
    return next;
  }

  #slowLine(start: number): number {
    const end = this.#lines.indexOf(newline, start);
    if (end < 0) return this.#lines.length;
    for (const message of parseMessages(this.#lines.toString("utf8", start, end))) this.#message(message, end + 1);
    return end + 1;
  }

  #message(message: Message, limit: number): void {
    const time = ascii(message.time);
    if (this.#isOver || !this.#isWanted(message.stream, time, 0, time.length)) return;
    if (this.#format.timestamps) copyTime(time, 0, time.length, this.#frames.time);
    const details = this.#format.details ? `${formatAttributes(message.attrs)} ` : "";
    this.#frames.put(message.stream, Buffer.from(details + message.log), limit);
  }

  #isWanted(stream: 1 | 2, bytes: Uint8Array, time: number, timeEnd: number): boolean {
    if (this.#until !== undefined && compareTimes(bytes, time, timeEnd, this.#until) > 0) {
      this.#isOver = true;
      return false;
    }
    if (this.#since !== undefined && compareTimes(bytes, time, timeEnd, this.#since) < 0) return false;
    return stream === 1 ? this.#format.stdout : this.#format.stderr;
  }

  /** Decodes the inside of a JSON string where it stands; returns where it ends then, −1 if it is none. */
  #unescape(from: number, end: number): number {
    const bytes = this.#lines;
    if (this.#nextBackslash < from) {
      const found = bytes.indexOf(backslash, from);
      this.#nextBackslash = found < 0 ? bytes.length : found;
    }
    let length = this.#nextBackslash;
    if (length >= end) return end;
    if (length === end - 2 && bytes[length + 1] === letterN) {
      bytes[length] = newline;
      return length + 1;
    }
    for (let i = length; i < end; ) {
      const byte = bytes[i++] ?? 0;
      if (byte !== backslash) {
        bytes[length++] = byte;
        continue;
      }
      const code = bytes[i++] ?? 0;
      const plain = escapeCodes[code] ?? 0;
      if (plain > 0) bytes[length++] = plain;
      else {
        const point = code === letterU ? codePoint(bytes, i) : -1;
        if (point < 0) return -1;
        i += point > 0xffff ? 10 : 4;
        if (point < 0x80) bytes[length++] = point;
        else length += bytes.write(String.fromCodePoint(point), length);
      }
    }
    return length;
  }
}

function closingQuote(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(quote, from); at >= 0; at = bytes.indexOf(quote, at + 1)) {
    let before = at;
    while (bytes[before - 1] === backslash) before--;
    if ((at - before) % 2 === 0) return at;
  }
  return -1;
}

/** Where the value of the time begins, at `from` or behind attributes; −1 if there is none. */
function timeValue(bytes: Buffer, from: number): number {
  if (isAt(bytes, from, timeKey)) return from + timeKey.length;
  const value = bytes.lastIndexOf(quote, bytes.indexOf(newline, from) - lineEnd.length) + 1;
  return isAt(bytes, value - timeKey.length, timeKey) ? value : -1;
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

/** Of the four digits at `from`; a surrogate counts together with its partner behind, and stays half of one without. −1: no digits. */
function codePoint(bytes: Uint8Array, from: number): number {
  const unit = hex4(bytes, from);
  if (unit < 0xd800 || unit >= 0xe000) return unit;
  const isHigh = unit < 0xdc00 && bytes[from + 4] === backslash && bytes[from + 5] === letterU;
  const low = isHigh ? hex4(bytes, from + 6) : -1;
  return low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00) : unit;
}

const wholeLength = 19;
const fractionEnd = timeLength - 1;

/** The character at `index` of the fixed form, whatever number of digits the time at `start` has. */
function digitAt(bytes: Uint8Array, start: number, end: number, index: number): number {
  if (index === wholeLength) return 0x2e;
  return start + index < end - 1 ? (bytes[start + index] ?? zero) : zero;
}

function copyTime(bytes: Uint8Array, start: number, end: number, fixed: Uint8Array): void {
  for (let i = 0; i < fractionEnd; i++) fixed[i] = digitAt(bytes, start, end, i);
  fixed[fractionEnd] = 0x5a;
}

/** UTC times of one width are ordered as their text is. */
function compareTimes(bytes: Uint8Array, start: number, end: number, fixed: Uint8Array): number {
  for (let i = 0; i < fractionEnd; i++) {
    const difference = digitAt(bytes, start, end, i) - (fixed[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

interface Message {
  readonly log: string;
  readonly stream: 1 | 2;
  readonly time: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** Of one line. A machine that lost power may have left half a one without its end: the one behind it is worth showing. */
function parseMessages(line: string): Message[] {
  const whole = parseMessage(line);
  const parts = whole === undefined ? line.split(/(?=\{"log":")/).map(parseMessage) : [whole];
  return parts.filter((part) => part !== undefined);
}

function parseMessage(line: string): Message | undefined {
  try {
    const { log, stream, time, attrs } = JSON.parse(line) as Record<string, unknown>;
    if (stream !== "stdout" && stream !== "stderr") return undefined;
    return {
      log: typeof log === "string" ? log : "",
      stream: stream === "stdout" ? 1 : 2,
      time: fixedTime(parseGoTime(rfc3339, String(time))),
      attrs: typeof attrs === "object" && attrs !== null ? (attrs as Record<string, string>) : {},
    };
  } catch {
    return undefined;
  }
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
