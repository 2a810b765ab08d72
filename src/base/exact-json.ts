/** JSON of our own files and records, in which integers of 64 bits keep their digits: beyond 2^53 they are bigints here. */

declare global {
  interface JSON {
    /** ECMAScript proposal "JSON.parse source text access"; V8 has it, TypeScript's library not yet. */
    rawJSON(text: string): object;
    parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown;
  }
}

/** A number where it is exact. */
export function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

export const stringifyExact = (value: unknown): string =>
  JSON.stringify(value, (_key, field: unknown) => (typeof field === "bigint" ? JSON.rawJSON(String(field)) : field));

/** A reviver costs several times what plain parsing does: only for text in which a number may be that long. */
export const parseExact = (text: string): unknown =>
  /[:[,]-?\d{16}/.test(text) ? JSON.parse(text, exact) : JSON.parse(text);

const exact = (_key: string, value: unknown, { source }: { source?: string }): unknown =>
  Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(source ?? "") ? BigInt(source ?? 0) : value;
