/** What a registry that limits its clients says about the limit, in headers of its answers. */

/** `100;w=21600`: how many, in a window of so many seconds (draft-polli-ratelimit-headers-02, which Docker Hub speaks). */
const limitPattern = /^(\d+)(?:;\s*w=(\d+))?/;

/** ` (0 of 100 pulls left in 6 hours)`; empty when the registry does not count. */
export function describeQuota(limit: string, remaining: string): string {
  const [, total, window] = limitPattern.exec(limit) ?? [];
  const [, left] = limitPattern.exec(remaining) ?? [];
  if (left === undefined) return "";
  const ofTotal = total === undefined ? "" : ` of ${total}`;
  return ` (${left}${ofTotal} pulls left${window === undefined ? "" : ` in ${describeSeconds(Number(window))}`})`;
}

function describeSeconds(seconds: number): string {
  const [count, unit] =
    seconds % 3600 === 0
      ? [seconds / 3600, "hour"]
      : seconds % 60 === 0
        ? [seconds / 60, "minute"]
        : [seconds, "second"];
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

/** The milliseconds of a Retry-After header: seconds or a date (RFC 9110 §10.2.3). */
export function parseRetryAfter(header: string, nowMs: number): number | undefined {
  if (/^\d+$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
