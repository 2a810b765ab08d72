import type { Static, TSchema } from "#api-schema/go";
import { zeroTime } from "#base/clock";
import { type GoType, reflect } from "./reflect.ts";

export interface EncodeOptions {
  /** Go's default; httputils.WriteJSON turns it off, the streams do not. */
  readonly escapeHtml?: boolean;
}

/** The JSON text that Go would write for this value: fields in the schema's order, `omitempty` obeyed, map keys sorted. */
export function encode<T extends TSchema>(schema: T, value: Static<T>, options: EncodeOptions = {}): string {
  return encoderOf(reflect(schema), options.escapeHtml === true)(value);
}

/** For values that are shown again and again without changing: a text is made once, and kept as long as its value. */
export function keepingEncoder<T extends TSchema>(schema: T, options: EncodeOptions = {}) {
  const texts = new WeakMap<object, string>();
  return (value: Static<T> & object): string => {
    const text = texts.get(value) ?? encode(schema, value, options);
    texts.set(value, text);
    return text;
  };
}

/** For values without a schema: Go's string rules on a plain value. */
export function encodePlain(value: unknown, options: EncodeOptions = {}): string {
  return escapeText(JSON.stringify(value), options.escapeHtml === true);
}

type Encoder = (value: unknown) => string;

const plainEncoders = new WeakMap<GoType, Encoder>();
const htmlEncoders = new WeakMap<GoType, Encoder>();

/** Built once for each type: an inspect answer has some two hundred fields. */
function encoderOf(type: GoType, escapeHtml: boolean): Encoder {
  const known = escapeHtml ? htmlEncoders : plainEncoders;
  const before = known.get(type);
  if (before !== undefined) return before;
  const encoder = compile(type, escapeHtml);
  known.set(type, encoder);
  return encoder;
}

function compile(type: GoType, escapeHtml: boolean): Encoder {
  switch (type.kind) {
    case "string":
      return (value) => quote(value, escapeHtml);
    case "bool":
      return (value) => (value === true ? "true" : "false");
    case "integer":
    case "float":
      return (value) => encodeNumber(value);
    case "time":
      return (value) => quote(typeof value === "string" && value !== "" ? value : zeroTime, false);
    case "any":
      return (value) => escapeText(JSON.stringify(value ?? null), escapeHtml);
    case "strslice":
      return listEncoder((value) => quote(value, escapeHtml));
    case "slice":
    case "tuple":
      return listEncoder(encoderOf(type.item, escapeHtml));
    case "ptr":
      return pointerEncoder(encoderOf(type.item, escapeHtml));
    case "map":
      return mapEncoder(encoderOf(type.item, escapeHtml), escapeHtml);
    case "struct":
      return structEncoder(type, escapeHtml);
    default:
      return type satisfies never;
  }
}

const pointerEncoder =
  (item: Encoder): Encoder =>
  (value) =>
    value === null || value === undefined ? "null" : item(value);

const listEncoder =
  (item: Encoder): Encoder =>
  (value) =>
    Array.isArray(value) ? `[${value.map(item).join(",")}]` : "null";

const mapEncoder =
  (item: Encoder, escapeHtml: boolean): Encoder =>
  (value) => {
    if (!isRecord(value)) return "null";
    const fields = Object.keys(value)
      .sort()
      .map((key) => `${quote(key, escapeHtml)}:${item(value[key])}`);
    return `{${fields.join(",")}}`;
  };

function structEncoder(type: Extract<GoType, { kind: "struct" }>, escapeHtml: boolean): Encoder {
  const fields = type.fields.map((field) => ({
    ...field,
    prefix: `${JSON.stringify(field.key)}:`,
    encode: encoderOf(field.type, escapeHtml),
  }));
  return (value) => {
    // Go has no null struct: an absent one is its zero value.
    const record = isRecord(value) ? value : {};
    // Joined at once: a text that grows by pieces is a tree of them, and long lists of those keep the garbage collector busy.
    const parts: string[] = [];
    for (const { key, prefix, omitempty, type: fieldType, encode: write } of fields) {
      const field = record[key];
      if (omitempty && isEmpty(fieldType, field)) continue;
      parts.push(prefix + write(field));
    }
    return `{${parts.join(",")}}`;
  };
}

/** What `omitempty` leaves out; structs, times and pointers to zero values stay. */
function isEmpty(type: GoType, value: unknown): boolean {
  if (value === undefined) return type.kind !== "struct" && type.kind !== "time";
  if (value === null) return true;
  switch (type.kind) {
    case "string":
      return value === "";
    case "bool":
      return value === false;
    case "integer":
    case "float":
      return value === 0 || value === 0n;
    case "slice":
    case "strslice":
      return Array.isArray(value) && value.length === 0;
    case "map":
      return isRecord(value) && Object.keys(value).length === 0;
    case "time":
    case "any":
    case "ptr":
    case "tuple":
    case "struct":
      return false;
    default:
      return type satisfies never;
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function encodeNumber(value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "number" || !Number.isFinite(value)) return "0";
  // Beyond 2^53 the digits of a number are rounded in print, and beyond 1e21 they are not digits.
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(value).toString() : String(value);
}

/** Nothing in it to escape, for HTML neither: most strings, and this is most of the time of an answer. */
const plain = /^[ !#-%'-;=?-[\]-~]*$/;

function quote(value: unknown, escapeHtml: boolean): string {
  const text = typeof value === "string" ? value : "";
  return plain.test(text) ? `"${text}"` : escapeText(JSON.stringify(text.toWellFormed()), escapeHtml);
}

/** Go always escapes the two line separators that JavaScript once refused, and by default what HTML would read. */
function escapeText(json: string, escapeHtml: boolean): string {
  const pattern = escapeHtml ? /[<>&\u2028\u2029]/g : /[\u2028\u2029]/g;
  return json.replace(pattern, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
