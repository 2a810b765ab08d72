import type { Clock } from "#base/clock";
import { EngineError } from "#base/errors";
import { type Filters, invalidFilter } from "./filters.ts";

/** `label` must match and `label!` must not: what every prune endpoint does with them (moby daemon/prune.go). */
export function matchesPruneLabels(filters: Filters, labels: Readonly<Record<string, string>> | null): boolean {
  if (!filters.labels("label", labels)) return false;
  return !filters.has("label!") || !filters.labels("label!", labels);
}

/** `until` as nanoseconds since 1970, or undefined where it was not given. Exactly one value is allowed. */
export function parseUntil(filters: Filters, clock: Clock): bigint | undefined {
  if (!filters.has("until")) return undefined;
  const values = filters.get("until");
  const [text] = values;
  if (text === undefined || values.length > 1) {
    throw new EngineError("invalidParameter", "more than one until filter specified");
  }
  return parseTime(text, clock.now()) ?? fail(text);
}

function fail(text: string): never {
  throw invalidFilter("until", [text]);
}

const unitsNs: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** A Go duration before `now` ("10m", "1h30m"), a Unix time ("1700000000.5"), or an RFC 3339-like date. */
export function parseTime(text: string, now: bigint): bigint | undefined {
  if (/^-?\d+(\.\d+)?$/.test(text)) return parseUnixTime(text);
  const duration = parseDuration(text);
  if (duration !== undefined) return now - duration;
  const date = Date.parse(/[Z+]|-\d\d:\d\d$/.test(text.slice(10)) ? text : dateInUtc(text));
  return Number.isNaN(date) ? undefined : BigInt(date) * 1_000_000n;
}

const dateInUtc = (text: string): string => (text.includes("T") ? `${text}Z` : text);

/** "seconds[.fraction]" in nanoseconds, without a double's loss. */
export function parseUnixTime(text: string): bigint {
  const [whole = "0", fraction = ""] = text.split(".");
  const ns = BigInt(fraction.padEnd(9, "0").slice(0, 9));
  const seconds = BigInt(whole) * 1_000_000_000n;
  return whole.startsWith("-") ? seconds - ns : seconds + ns;
}

function parseDuration(text: string): bigint | undefined {
  if (!/^([\d.]+(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let ns = 0;
  for (const [, number, unit] of text.matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g)) {
    ns += Number(number) * (unitsNs[unit ?? ""] ?? Number.NaN);
  }
  return Number.isNaN(ns) ? undefined : BigInt(Math.round(ns));
}
