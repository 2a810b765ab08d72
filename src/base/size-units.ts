/** docker/go-units: "10m", "1.5GiB", "512". RAMInBytes counts in 1024s, FromHumanSize in 1000s. */
import { EngineError } from "./errors.ts";
import { parseFloat64 } from "./strconv.ts";

const powers = "bkmgtp";

/** Throws in go-units' words. What is beyond int64 comes out as Go's conversion leaves it: negative. */
export function parseSize(text: string, base: 1000 | 1024 = 1024): number {
  const [, number, unit = ""] = /^(.*[\d. ])([^\d. ]*)$/s.exec(text) ?? [];
  if (number === undefined) throw refused(`invalid size: '${text}'`);
  const value = parseFloat64(number.replace(/ $/, ""));
  if (value < 0) throw refused(`invalid size: '${text}'`);
  const suffix = unit.length > 3 ? unit : unit.toLowerCase();
  const power = powers.indexOf(suffix.slice(0, 1));
  if (power < 0 || !/^(b?|[kmgtp](i?b)?)$/.test(suffix)) throw refused(`invalid suffix: '${suffix}'`);
  const bytes = Math.trunc(value * base ** power);
  return bytes < 2 ** 63 ? bytes : -(2 ** 63);
}

const refused = (message: string): EngineError => new EngineError("system", message);
