const unitNs: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 6e10,
  h: 3.6e12,
};

/** A number with its unit, either of which may be missing. */
const part = /(\d*\.?\d*)([^\d.]*)/y;

/** `1h30m` in nanoseconds, as Go's time.ParseDuration reads it, or what Go says of a text that is none. */
export function readDuration(text: string): bigint | { readonly fault: string } {
  const fault = (why: string) => ({ fault: `time: ${why}duration ${JSON.stringify(text)}` });
  const [, sign = "", rest = ""] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  if (rest === "0") return 0n;
  if (rest === "") return fault("invalid ");
  let total = 0;
  for (part.lastIndex = 0; part.lastIndex < rest.length; ) {
    const [, number = "", unit = ""] = part.exec(rest) ?? [];
    if (!/\d/.test(number)) return fault("invalid ");
    if (unit === "") return fault("missing unit in ");
    const ns = unitNs[unit];
    if (ns === undefined) return fault(`unknown unit ${JSON.stringify(unit)} in `);
    total += Number(number) * ns;
  }
  return BigInt(Math.round(sign === "-" ? -total : total));
}

export function parseDuration(text: string): bigint | undefined {
  const duration = readDuration(text);
  return typeof duration === "bigint" ? duration : undefined;
}

/** As Go's Duration.String writes one of a millisecond or more: `1h0m5s`, `1.5s`, `20ms`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = `${Number(((ms % 60_000) / 1000).toFixed(9))}s`;
  if (minutes === 0) return seconds;
  return minutes < 60 ? `${minutes}m${seconds}` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`;
}
