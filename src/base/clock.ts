import { setTimeout as delay } from "node:timers/promises";

/** Time as the engine sees it; tests pass their own, so none of them sleeps. */
export interface Clock {
  /** Nanoseconds since 1970, UTC. */
  now(): bigint;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

// performance.timeOrigin + now() has sub-microsecond resolution, which Date.now() has not: event order depends on it.
let last = 0n;
function wallClock(): bigint {
  const ns = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
  last = ns > last ? ns : last + 1n;
  return last;
}

/** What a timer can count: one set to more fires at once. */
const longestTimerMs = 2 ** 31 - 1;

/** As long as it is asked for. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  for (let leftMs = ms; leftMs >= 0; leftMs -= longestTimerMs) {
    await delay(Math.min(leftMs, longestTimerMs), undefined, signal ? { signal } : {});
  }
}

export const systemClock: Clock = { now: wallClock, sleep };

/** RFC 3339 with up to nine digits and no trailing zeros, as Go's time.RFC3339Nano prints it. */
export function formatTime(ns: bigint): string {
  const seconds = ns / 1_000_000_000n;
  const fraction = (ns % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return fraction === "" ? `${whole}Z` : `${whole}.${fraction}Z`;
}

/** Go's zero time, which Docker shows where nothing has happened yet. */
export const zeroTime = "0001-01-01T00:00:00Z";
