import type { Clock } from "#base/clock";
import { EngineError, type ErrorKind } from "#base/errors";
import type { Filters } from "./filters.ts";
import { parseTimestamp } from "./timestamp.ts";

/** `label` must match and `label!` must not: what every prune endpoint does with them (moby daemon/prune.go). */
export function matchesPruneLabels(filters: Filters, labels: Readonly<Record<string, string>> | null): boolean {
  if (!filters.labels("label", labels)) return false;
  return !filters.has("label!") || !filters.labels("label!", labels);
}

/** `until` as nanoseconds since 1970, or undefined where it was not given. One value is allowed. */
export function parseUntil(filters: Filters, clock: Clock, fault: ErrorKind = "invalidParameter"): bigint | undefined {
  const [text, another] = filters.get("until");
  if (another !== undefined) throw new EngineError(fault, "more than one until filter specified");
  return text === undefined ? undefined : parseTimestamp(text, clock.now(), fault);
}
