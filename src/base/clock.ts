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

export const systemClock: Clock = {
  now: wallClock,
  sleep: async (ms, signal) => {
    const { setTimeout: delay } = await import("node:timers/promises");
    await delay(ms, undefined, signal ? { signal } : {});
  },
};

/** RFC 3339 with up to nine digits and no trailing zeros, as Go's time.RFC3339Nano prints it. */
export function formatTime(ns: bigint): string {
  const seconds = ns / 1_000_000_000n;
  const fraction = (ns % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return fraction === "" ? `${whole}Z` : `${whole}.${fraction}Z`;
}

/** Go's zero time, which Docker shows where nothing has happened yet. */
export const zeroTime = "0001-01-01T00:00:00Z";
