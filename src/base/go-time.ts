/**
 * Go's time.Parse, for the layouts that clients meet: the elements of RFC 3339 in any composition. Errors have Go's words,
 * which clients see when they send a bad `until`.
 */
export class TimeParseError extends Error {}

export const rfc3339 = "2006-01-02T15:04:05Z07:00";

interface Reading {
  readonly fields: Record<"year" | "month" | "day" | "hour" | "minute" | "second", number>;
  nanoseconds: bigint;
  offsetSeconds: number;
  /** The first field whose number cannot be. */
  outOfRange: string | undefined;
}

/** Takes its part from the front of the text and returns the rest; undefined when it is not there. */
type Element = (text: string, reading: Reading) => string | undefined;

type Field = keyof Reading["fields"];

const number =
  (field: Field, pattern: RegExp, isInRange: (value: number) => boolean): Element =>
  (text, reading) => {
    const digits = pattern.exec(text)?.[0];
    if (digits === undefined) return undefined;
    reading.fields[field] = Number(digits);
    if (!isInRange(Number(digits))) reading.outOfRange ??= field;
    return text.slice(digits.length);
  };

const fraction: Element = (text, reading) => {
  const digits = /^[.,](\d+)/.exec(text)?.[1];
  if (digits === undefined) return text;
  reading.nanoseconds = BigInt(digits.slice(0, 9).padEnd(9, "0"));
  return text.slice(digits.length + 1);
};

const readSecond = number("second", /^\d\d/, (value) => value < 60);

const zone: Element = (text, reading) => {
  if (text.startsWith("Z")) return text.slice(1);
  const [match, sign, hours, minutes] = /^([+-])(\d\d):(\d\d)/.exec(text) ?? [];
  if (match === undefined) return undefined;
  if (Number(hours) > 24) reading.outOfRange ??= "time zone offset hour";
  if (Number(minutes) > 60) reading.outOfRange ??= "time zone offset minute";
  reading.offsetSeconds = (sign === "-" ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60);
  return text.slice(match.length);
};

const elements: Readonly<Record<string, Element>> = {
  "2006": number("year", /^\d{4}/, () => true),
  "01": number("month", /^\d\d/, (value) => value >= 1 && value <= 12),
  "02": number("day", /^\d\d/, () => true),
  "15": number("hour", /^\d\d?/, (value) => value < 24),
  "04": number("minute", /^\d\d/, (value) => value < 60),
  // Seconds take a fraction along that the layout does not mention.
  "05": (text, reading) => {
    const rest = readSecond(text, reading);
    return rest === undefined ? undefined : fraction(rest, reading);
  },
  ".999999999": fraction,
  "Z07:00": zone,
};

const layoutParts = /2006|01|02|15|04|05|\.999999999|Z07:00|[^0-9.Z]+/g;

/** Nanoseconds since 1970; without a zone it is UTC. */
export function parseGoTime(layout: string, text: string): bigint {
  const reading: Reading = {
    fields: { year: 1, month: 1, day: 1, hour: 0, minute: 0, second: 0 },
    nanoseconds: 0n,
    offsetSeconds: 0,
    outOfRange: undefined,
  };
  const parsing = `parsing time ${JSON.stringify(text)}`;
  let rest = text;
  for (const [part] of layout.matchAll(layoutParts)) {
    const read = elements[part] ?? ((literal) => (literal.startsWith(part) ? literal.slice(part.length) : undefined));
    const left = read(rest, reading);
    if (left === undefined) {
      const why = `cannot parse ${JSON.stringify(rest)} as ${JSON.stringify(part)}`;
      throw new TimeParseError(`${parsing} as ${JSON.stringify(layout)}: ${why}`);
    }
    if (reading.outOfRange !== undefined) throw new TimeParseError(`${parsing}: ${reading.outOfRange} out of range`);
    rest = left;
  }
  if (rest !== "") throw new TimeParseError(`${parsing}: extra text: ${JSON.stringify(rest)}`);
  const { year, month, day, hour, minute, second } = reading.fields;
  // Date.UTC would take the years below 100 for those of the last century.
  const date = new Date(0).setUTCFullYear(year, month - 1, day);
  if (new Date(date).getUTCDate() !== day) throw new TimeParseError(`${parsing}: day out of range`);
  const seconds = date / 1000 + hour * 3600 + minute * 60 + second - reading.offsetSeconds;
  return BigInt(seconds) * 1_000_000_000n + reading.nanoseconds;
}
