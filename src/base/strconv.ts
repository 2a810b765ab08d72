/** Go's strconv, whose complaints dockerd passes on to its clients. */
import { EngineError } from "./errors.ts";

interface Range {
  readonly min: bigint;
  readonly max: bigint;
}
export const int64: Range = { min: -(2n ** 63n), max: 2n ** 63n - 1n };
export const uint32: Range = { min: 0n, max: 2n ** 32n - 1n };

const [invalidSyntax, outOfRange] = ["invalid syntax", "value out of range"];

/** What is wrong with a whole number, undefined for nothing. */
export function numberProblem(text: string, { min, max }: Range): string | undefined {
  if (!/^[+-]?[0-9]+$/.test(text)) return invalidSyntax;
  const value = BigInt(text.replace(/^\+/, ""));
  return value < min || value > max ? outOfRange : undefined;
}

export function atoi(text: string): number {
  const problem = numberProblem(text, int64);
  if (problem !== undefined) refuse("Atoi", text, problem);
  return Number(text);
}

const digits = String.raw`\d+(?:_\d+)*`;
const float = new RegExp(`^[+-]?(?:${digits}(?:\\.(?:${digits})?)?|\\.${digits})(?:e[+-]?${digits})?$`, "i");

export function parseFloat64(text: string): number {
  if (!float.test(text)) refuse("ParseFloat", text, invalidSyntax);
  const value = Number(text.replaceAll("_", ""));
  if (!Number.isFinite(value)) refuse("ParseFloat", text, outOfRange);
  return value;
}

/** ParseInt with base 10. */
export const parseInt10 = (text: string): number => parsedInteger(text, /^[+-]?\d+$/.test(text) ? text : undefined);

const literals = /^[+-]?(?:0x(?:_?[\da-f])+|0b(?:_?[01])+|0o?(?:_?[0-7])*|[1-9](?:_?\d)*)$/i;

/** ParseInt with base 0, which pflag uses: 16, 0x10, 020 and 1_6 are numbers. */
export function parseInteger(text: string): number {
  if (!literals.test(text)) return parsedInteger(text, undefined);
  const digits = text.replaceAll("_", "");
  return parsedInteger(text, digits.replace(/^([+-]?)0(?=\d)/, "$10o"));
}

function parsedInteger(text: string, digits: string | undefined): number {
  if (digits === undefined) return refuse("ParseInt", text, invalidSyntax);
  const value = Number(digits.replace(/^[+-]/, "")) * (digits.startsWith("-") ? -1 : 1);
  if (Math.abs(value) >= 2 ** 63) refuse("ParseInt", text, outOfRange);
  return value;
}

const trueWords = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const falseWords = new Set(["0", "f", "F", "false", "FALSE", "False"]);

/** Undefined for what ParseBool refuses. */
export function booleanOf(text: string): boolean | undefined {
  if (trueWords.has(text)) return true;
  return falseWords.has(text) ? false : undefined;
}

export const parseBool = (text: string): boolean => booleanOf(text) ?? refuse("ParseBool", text, invalidSyntax);

/** moby passes these on as they are, so they count as its own failures. */
function refuse(name: string, text: string, problem: string): never {
  throw new EngineError("system", `strconv.${name}: parsing ${goQuote(text)}: ${problem}`);
}

/** Go's %q for the texts that end up in messages. */
export function goQuote(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&").replace(unprintable, escaped)}"`;
}

/** What unicode.IsPrint denies: all but letters, marks, numbers, punctuation, symbols and the plain blank. */
const unprintable = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu;

const shortEscapes: Readonly<Record<string, string>> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const [letter, digits] = code < 0x80 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return shortEscapes[character] ?? `\\${letter}${code.toString(16).padStart(digits, "0")}`;
}
