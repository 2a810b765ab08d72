/** "10m", "1.5GiB", "512": sizes as people write them (docker/go-units RAMInBytes: powers of 1024). */
const powers = "bkmgtp";

/** undefined for what is no size. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([bkmgtp]?)(?:i?b)?$/i.exec(text);
  if (match === null) return undefined;
  const [, number = "", unit = ""] = match;
  const power = Math.max(powers.indexOf(unit.toLowerCase() || "b"), 0);
  return Math.trunc(Number(number) * 1024 ** power);
}
