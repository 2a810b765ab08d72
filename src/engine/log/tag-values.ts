/** The functions and values of a tag's template (moby daemon/logger/templates). */
import { goQuote } from "#base/strconv";

export type TagValue = string | number | boolean | readonly TagValue[] | Readonly<Record<string, string>>;
export type TagFields = Readonly<Record<string, TagValue>>;

interface TagFunction {
  /** Undefined: at least one. */
  readonly arity?: number;
  readonly call: (...args: TagValue[]) => TagValue;
}

const text = String;
export const functions: Readonly<Record<string, TagFunction>> = {
  json: { arity: 1, call: (value) => JSON.stringify(value) },
  lower: { arity: 1, call: (value) => text(value).toLowerCase() },
  upper: { arity: 1, call: (value) => text(value).toUpperCase() },
  title: { arity: 1, call: (value) => text(value).replace(/(?<![\p{L}\p{N}_'])\p{L}/gu, (c) => c.toUpperCase()) },
  split: { arity: 2, call: (value, separator) => text(value).split(text(separator)) },
  join: { arity: 2, call: (list, separator) => (Array.isArray(list) ? list.join(text(separator)) : text(list)) },
  truncate: { arity: 2, call: (value, length) => text(value).slice(0, Number(length)) },
  pad: { arity: 3, call: (value, before, after) => padded(text(value), Number(before), Number(after)) },
  len: { arity: 1, call: (value) => (typeof value === "object" ? Object.keys(value).length : text(value).length) },
  index: {
    arity: 2,
    call: (value, key) =>
      typeof value === "object" ? ((value as Readonly<Record<string, TagValue>>)[text(key)] ?? "") : "",
  },
  not: { arity: 1, call: (value) => !isTruthy(value) },
  and: { call: (...values) => values.find((value) => !isTruthy(value)) ?? values.at(-1) ?? "" },
  or: { call: (...values) => values.find(isTruthy) ?? values.at(-1) ?? "" },
  eq: { call: (value, ...others) => others.includes(value) },
  ne: { arity: 2, call: (value, other) => value !== other },
  lt: { arity: 2, call: (value, other) => value < other },
  le: { arity: 2, call: (value, other) => value <= other },
  gt: { arity: 2, call: (value, other) => value > other },
  ge: { arity: 2, call: (value, other) => value >= other },
  print: { call: printed },
  println: { call: (...values) => `${values.map(shown).join(" ")}\n` },
  printf: { call: (format, ...values) => formatted(text(format), values) },
};

/** A blank stands between two of which none is a string. */
function printed(...values: TagValue[]): string {
  const isText = (value: TagValue | undefined) => typeof value === "string";
  return values
    .map((value, n) => (n > 0 && !isText(value) && !isText(values[n - 1]) ? " " : "") + shown(value))
    .join("");
}

/** %s, %v, %d, %q and %%, with a width. */
function formatted(format: string, values: readonly TagValue[]): string {
  let next = 0;
  return format.replace(/%(-?)(\d*)([svdq%])/g, (verb, left: string, width: string, kind: string) => {
    if (kind === "%") return "%";
    const value = values[next++];
    if (value === undefined) return `%!${verb.at(-1)}(MISSING)`;
    const plain = kind === "q" ? goQuote(shown(value)) : shown(value);
    return left === "" ? plain.padStart(Number(width)) : plain.padEnd(Number(width));
  });
}

export function isTruthy(value: TagValue): boolean {
  return typeof value === "object" ? Object.keys(value).length > 0 : Boolean(value);
}

const padded = (value: string, before: number, after: number): string =>
  value === "" ? "" : " ".repeat(before) + value + " ".repeat(after);

/** As Go's fmt prints it. */
export function shown(value: TagValue): string {
  if (typeof value !== "object") return text(value);
  if (Array.isArray(value)) return `[${value.map(shown).join(" ")}]`;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `map[${entries.map(([key, item]) => `${key}:${item}`).join(" ")}]`;
}
