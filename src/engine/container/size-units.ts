/** "10m", "1.5GiB", "512": sizes as people write them (docker/go-units: RAMInBytes counts in 1024s, FromHumanSize in 1000s). */
const powers = "bkmgtp";

/** undefined for what is no size. */
export function parseBytes(text: string, base: 1000 | 1024 = 1024): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([bkmgtp]?)(?:i?b)?$/i.exec(text);
  if (match === null) return undefined;
  const [, number = "", unit = ""] = match;
  const power = Math.max(powers.indexOf(unit.toLowerCase() || "b"), 0);
  return Math.trunc(Number(number) * base ** power);
}
