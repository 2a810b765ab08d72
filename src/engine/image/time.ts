import { EngineError } from "#base/errors";
import { parseDuration } from "../dockerfile/duration.ts";

const nsPerSecond = 1_000_000_000n;

/** RFC 3339 to nanoseconds since 1970: Date keeps only three digits. */
export function parseRfc3339(text: string): bigint {
  const match = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/.exec(text);
  const ms = match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2]}${match[4]?.toUpperCase()}`);
  if (match === null || Number.isNaN(ms))
    throw new EngineError("invalidParameter", `cannot parse time ${JSON.stringify(text)}`);
  return BigInt(ms) * 1_000_000n + BigInt((match[3] ?? "").padEnd(9, "0"));
}

/** Seconds since 1970; 0 where an image does not say when it was made. */
export const unixSeconds = (created: string | null): number =>
  created === null ? 0 : Number(parseRfc3339(created) / nsPerSecond);

/**
 * The `until` filter (moby api/types/time, GetTimestamp): a time in one of RFC 3339's shorter forms, seconds since 1970,
 * or a Go duration that reaches back from now.
 */
export function parseUntil(text: string, now: bigint): bigint {
  const back = parseDuration(text);
  if (back !== undefined) return now - back;
  const unix = /^(-?\d+)(?:\.(\d{1,9}))?$/.exec(text);
  if (unix !== null) return BigInt(unix[1] ?? 0) * nsPerSecond + BigInt((unix[2] ?? "").padEnd(9, "0"));
  const match = /^(\d{4}-\d\d-\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?)?([Zz]|[+-]\d\d:\d\d)?$/.exec(text);
  if (match === null)
    throw new EngineError("system", `failed to parse value as time or duration: ${JSON.stringify(text)}`);
  const [, day, hour = "00", minute = "00", second = "00", zone = localOffset(now)] = match;
  return parseRfc3339(`${day}T${hour}:${minute}:${second}${zone}`);
}

/** A time without a zone is the engine's own. */
function localOffset(now: bigint): string {
  const minutes = -new Date(Number(now / 1_000_000n)).getTimezoneOffset();
  const two = (value: number) => String(Math.trunc(Math.abs(value))).padStart(2, "0");
  return `${minutes < 0 ? "-" : "+"}${two(minutes / 60)}:${two(minutes % 60)}`;
}
