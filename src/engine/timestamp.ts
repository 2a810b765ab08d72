import { parseDuration } from "#base/duration";
import { EngineError, type ErrorKind } from "#base/errors";
import { parseGoTime, rfc3339, TimeParseError } from "#base/go-time";
import { goQuote } from "#base/strconv";

const nsPerSecond = 1_000_000_000n;

/**
 * A Go duration before `now` ("1h30m", to the second), an RFC 3339-like date, or a Unix time ("1700000000.5"), in nanoseconds
 * since 1970 (moby api/types/time, GetTimestamp). Whose fault a bad one is differs between moby's services.
 */
export function parseTimestamp(text: string, now: bigint, fault: ErrorKind = "invalidParameter"): bigint {
  const duration = text === "0" ? undefined : parseDuration(text);
  if (duration !== undefined) return floorToSecond(now - duration);
  try {
    return parseGoTime(layoutOf(text), text);
  } catch (cause) {
    if (!(cause instanceof TimeParseError)) throw cause;
    if (text.includes("-")) throw new EngineError(fault, cause.message, { cause });
  }
  const unixTime = parseUnixTime(text);
  if (unixTime !== undefined) return unixTime;
  throw new EngineError(fault, `failed to parse value as time or duration: ${goQuote(text)}`);
}

function layoutOf(text: string): string {
  const hasZone = /[zZ+]/.test(text) || text.split("-").length === 4;
  const zone = hasZone ? "Z07:00" : "";
  if (text.includes(".")) return `2006-01-02T15:04:05.999999999${zone}`;
  if (!text.includes("T")) return `2006-01-02${zone}`;
  const ownColons = hasZone && !/[zZ]/.test(text) ? 1 : 0;
  const colons = Math.max(0, text.split(":").length - 1 - ownColons);
  if (colons > 1) return hasZone ? rfc3339 : "2006-01-02T15:04:05";
  return `2006-01-02T15${colons === 1 ? ":04" : ""}${zone}`;
}

const maxSeconds = 2n ** 63n - 1n;
/** From year 1, where Go's time.Time begins to count, in 64 bits: their far end is long ago. */
const secondsBefore1970 = 62_135_596_800n;

/** "seconds[.fraction]" in nanoseconds, without a double's loss; undefined for what is none. */
export function parseUnixTime(text: string): bigint | undefined {
  const [match, sign, whole = "", fraction = ""] = /^([+-]?)(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  if (match === undefined || BigInt(whole) > maxSeconds) return undefined;
  const seconds = BigInt.asIntN(64, BigInt(whole) + secondsBefore1970) - secondsBefore1970;
  const ns = seconds * nsPerSecond + BigInt(fraction.slice(0, 9).padEnd(9, "0"));
  return sign === "-" ? -ns : ns;
}

const floorToSecond = (ns: bigint): bigint => ns - (((ns % nsPerSecond) + nsPerSecond) % nsPerSecond);
