import { EngineError } from "#base/errors";
import { goQuote } from "#base/strconv";
import type { Announcing } from "#network";

const countOption = "com.docker.network.advertise_addr_nmsgs";
const intervalOption = "com.docker.network.advertise_addr_ms";

/** How a network's new endpoints make their addresses known: what its options say, or moby's defaults. */
export function parseAnnouncing(options: Readonly<Record<string, string>>): Announcing {
  const problems: string[] = [];
  const read = (name: string, { kind, least, most }: { kind: string; least: number; most: number }, unset: number) => {
    const text = options[name];
    if (text === undefined) return unset;
    const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value)) {
      problems.push(`value for option ${name} ${goQuote(text)} must be ${kind}`);
    } else if (value < least || value > most) {
      problems.push(`${name} must be in the range ${least} to ${most}`);
    }
    return value;
  };
  const count = read(countOption, { kind: "an integer", least: 0, most: 3 }, 3);
  const intervalMs = read(intervalOption, { kind: "integer milliseconds", least: 100, most: 2000 }, 1000);
  if (problems.length > 0) throw new EngineError("system", problems.join("\n"));
  return { count, intervalMs };
}
