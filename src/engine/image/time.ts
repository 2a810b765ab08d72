import { EngineError } from "#base/errors";
import { goQuote } from "#base/strconv";

const nsPerSecond = 1_000_000_000n;

/** RFC 3339 to nanoseconds since 1970: Date keeps only three digits. */
export function parseRfc3339(text: string): bigint {
  const match = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/.exec(text);
  const ms = match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2]}${match[4]?.toUpperCase()}`);
  if (match === null || Number.isNaN(ms))
    throw new EngineError("invalidParameter", `cannot parse time ${goQuote(text)}`);
  return BigInt(ms) * 1_000_000n + BigInt((match[3] ?? "").padEnd(9, "0"));
}

/** Seconds since 1970; 0 where an image does not say when it was made. */
export const unixSeconds = (created: string | null): number =>
  created === null ? 0 : Number(parseRfc3339(created) / nsPerSecond);
