import { goQuote } from "./strconv.ts";

/**
 * JSON as Go's decoder reads it: same grammar, same words for what is wrong. The engine has this one parser: for
 * request bodies, whatever their Content-Type says (what is checked is what is executed, THREATS C4), and for what registries
 * and archives bring.
 */
export type Json = null | boolean | string | JsonNumber | JsonObject | readonly Json[];

/** Kept as text: an int64 does not fit a JavaScript number, and Go's messages quote it. */
export class JsonNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Fields in their order, repeated ones included: Go assigns them one after another. */
export class JsonObject {
  readonly fields: readonly (readonly [string, Json])[];
  constructor(fields: readonly (readonly [string, Json])[]) {
    this.fields = fields;
  }
}

export const isList = (json: Json): json is readonly Json[] => Array.isArray(json);

/** As JSON.parse would give it. */
export function toPlain(json: Json): unknown {
  if (json instanceof JsonNumber) return Number(json.text);
  if (json instanceof JsonObject) return Object.fromEntries(json.fields.map(([key, item]) => [key, toPlain(item)]));
  return isList(json) ? json.map(toPlain) : json;
}

export class JsonSyntaxError extends Error {}

/** Nothing but white space was there. */
export class JsonEmptyError extends Error {}

/** encoding/json refuses deeper values. */
const maxDepth = 10_000;

export interface Parsed {
  readonly value: Json;
  /** Go's Decoder.More(): something follows the value. */
  readonly hasMore: boolean;
}

export function parseJson(text: string): Parsed {
  const scanner = new Scanner(text);
  if (scanner.peek() === "") throw new JsonEmptyError("EOF");
  const value = scanner.value();
  const next = scanner.peek();
  return { value, hasMore: next !== "" && next !== "]" && next !== "}" };
}

/** json.Unmarshal: all of the text is the value. */
export function parseWholeJson(text: string): Json {
  const scanner = new Scanner(text, "unexpected end of JSON input");
  const value = scanner.value();
  if (scanner.peek() !== "") scanner.fail("after top-level value");
  return value;
}

/** json.Unmarshal into plain values. */
export const unmarshalJson = (text: string): unknown => readPlain(text, parseWholeJson);

/** json.Decoder into plain values: the first of the text, whatever follows it. */
export const decodeJson = (text: string): unknown => readPlain(text, (all) => parseJson(all).value);

/** V8 is faster; only what it refuses is read as Go does, for Go's words. */
function readPlain(text: string, read: (text: string) => Json): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return toPlain(read(text));
  }
}

const plain = /[^"\\\x00-\x1f]*/y;
const digits = /[0-9]+/y;

/** An object or array that has not ended yet. */
interface Container {
  readonly end: "}" | "]";
  readonly values: Json[];
  /** Of an object, the one whose value comes next included. */
  readonly keys: string[] | undefined;
}

class Scanner {
  readonly #text: string;
  /** Go's decoder and its Unmarshal call a text that is cut off by different names. */
  readonly #cutOff: string;
  #at = 0;

  constructor(text: string, cutOff = "unexpected EOF") {
    this.#text = text;
    this.#cutOff = cutOff;
  }

  /** The next character that is not white space, "" at the end. */
  peek(): string {
    for (;;) {
      const character = this.#text.charAt(this.#at);
      if (character !== " " && character !== "\n" && character !== "\t" && character !== "\r") return character;
      this.#at++;
    }
  }

  /** Without recursion: how deep a body may be is not for our stack to decide. */
  value(): Json {
    const open: Container[] = [];
    for (;;) {
      let ended = this.#begin(open);
      while (ended !== undefined) {
        const container = open.at(-1);
        if (container === undefined) return ended;
        ended = this.#add(open, container, ended);
      }
    }
  }

  /** Reads a scalar or an empty container; undefined when a container was opened and its first value comes next. */
  #begin(open: Container[]): Json | undefined {
    const first = this.peek();
    switch (first) {
      case "{":
        this.#enter(open);
        if (this.peek() === "}") return this.#close(new JsonObject([]));
        open.push({ end: "}", values: [], keys: [this.#key()] });
        return undefined;
      case "[":
        this.#enter(open);
        if (this.peek() === "]") return this.#close([]);
        open.push({ end: "]", values: [], keys: undefined });
        return undefined;
      case '"':
        return this.#string();
      case "t":
        return this.#literal("true", true);
      case "f":
        return this.#literal("false", false);
      case "n":
        return this.#literal("null", null);
      default:
        if (first === "-" || (first >= "0" && first <= "9")) return this.#number();
        return this.fail("looking for beginning of value");
    }
  }

  #enter(open: readonly Container[]): void {
    if (open.length === maxDepth) throw new JsonSyntaxError("exceeded max depth");
    this.#at++;
  }

  /** Adds a value to its container; returns the container if the value was its last. */
  #add(open: Container[], { end, keys, values }: Container, value: Json): Json | undefined {
    values.push(value);
    const next = this.peek();
    if (next === end) {
      open.pop();
      const ended =
        keys === undefined ? values : new JsonObject(keys.map((key, index) => [key, values[index] ?? null]));
      return this.#close(ended);
    }
    if (next !== ",") return this.fail(keys === undefined ? "after array element" : "after object key:value pair");
    this.#at++;
    keys?.push(this.#key());
    return undefined;
  }

  #key(): string {
    if (this.peek() !== '"') this.fail("looking for beginning of object key string");
    const key = this.#string();
    if (this.peek() !== ":") this.fail("after object key");
    this.#at++;
    return key;
  }

  #close<T>(value: T): T {
    this.#at++;
    return value;
  }

  #literal<T>(word: string, value: T): T {
    for (let index = 1; index < word.length; index++) {
      if (this.#text.charAt(++this.#at) !== word.charAt(index))
        this.fail(`in literal ${word} (expecting '${word.charAt(index)}')`);
    }
    return this.#close(value);
  }

  #number(): JsonNumber {
    const start = this.#at;
    if (this.#is("-")) this.#at++;
    if (this.#is("0")) this.#at++;
    else this.#digits();
    if (this.#is(".")) {
      this.#at++;
      this.#digits();
    }
    if (this.#is("e") || this.#is("E")) {
      this.#at++;
      if (this.#is("+") || this.#is("-")) this.#at++;
      this.#digits();
    }
    return new JsonNumber(this.#text.slice(start, this.#at));
  }

  #is(character: string): boolean {
    return this.#text.charAt(this.#at) === character;
  }

  #digits(): void {
    if (this.#match(digits) === "") this.fail("in numeric literal");
  }

  #string(): string {
    let text = "";
    this.#at++;
    for (;;) {
      text += this.#match(plain);
      const stop = this.#text.charAt(this.#at);
      if (stop === "\\") text += this.#escape();
      else if (stop === '"') return this.#close(text.toWellFormed());
      else this.fail("in string");
    }
  }

  #escape(): string {
    const letter = this.#text.charAt(this.#at + 1);
    const length = letter === "u" ? 6 : 2;
    const sequence = this.#text.slice(this.#at, this.#at + length);
    const character = letter === "u" ? unicode(sequence) : escapes[letter];
    if (character === undefined) {
      if (this.#at + length > this.#text.length) throw new JsonSyntaxError(this.#cutOff);
      throw new JsonSyntaxError(`invalid escape sequence \`${sequence}\` in string`);
    }
    this.#at += length;
    return character;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }

  fail(where: string): never {
    const code = this.#text.codePointAt(this.#at);
    if (code === undefined) throw new JsonSyntaxError(this.#cutOff);
    throw new JsonSyntaxError(`invalid character ${quoteRune(code)} ${where}`);
  }
}

/** What a letter behind a backslash stands for (RFC 8259, section 7); \u is for the reader. */
export const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

function unicode(sequence: string): string | undefined {
  const hex = /^\\u([0-9a-fA-F]{4})$/.exec(sequence)?.[1];
  return hex === undefined ? undefined : String.fromCharCode(Number.parseInt(hex, 16));
}

function quoteRune(code: number): string {
  const character = String.fromCodePoint(code);
  if (character === "'") return "'\\''";
  return character === '"' ? `'"'` : `'${goQuote(character).slice(1, -1)}'`;
}
