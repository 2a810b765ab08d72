import type { Timestamp } from "#native";
import { invalidHeader } from "./entry.ts";

const space = 0x20;
const zero = 0x30;
const seven = 0x37;

/** A numeric field of a header: octal text, or GNU's base 256 when the top bit is set. */
export function parseNumber(field: Uint8Array): number {
  return inRange(((field[0] ?? 0) & 0x80) !== 0 ? parseBase256(field) : parseOctal(field));
}

/** Go reads 64 bits. Above 53 it is no longer exact, and no owner, size or time that this machine can have. */
function inRange(value: number): number {
  if (Math.abs(value) >= 2 ** 63) throw invalidHeader();
  return value;
}

function parseOctal(field: Uint8Array): number {
  let [start, end] = [0, field.length];
  while (start < end && isPadding(field[start])) start++;
  while (end > start && isPadding(field[end - 1])) end--;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = field[at] ?? 0;
    // Some writers end the digits with NUL and leave rubbish behind it.
    if (digit === 0) break;
    if (digit < zero || digit > seven) throw invalidHeader();
    value = value * 8 + (digit - zero);
  }
  return value;
}

const isPadding = (byte: number | undefined): boolean => byte === space || byte === 0;

function parseBase256(field: Uint8Array): number {
  // Two's complement, big endian; the top bit is the flag, the next one the sign.
  const isNegative = ((field[0] ?? 0) & 0x40) !== 0;
  let value = BigInt((field[0] ?? 0) & 0x7f);
  for (const byte of field.subarray(1)) value = (value << 8n) | BigInt(byte);
  const bits = BigInt(field.length * 8 - 1);
  return Number(isNegative ? value - (1n << bits) : value);
}

/** A decimal integer of a pax record. */
export function parseDecimal(text: string): number {
  if (!/^[+-]?\d{1,19}$/.test(text)) throw invalidHeader();
  return inRange(Number(text));
}

/** A pax time: seconds with any number of decimals. */
export function parseTime(text: string): Timestamp {
  const match = /^([+-]?)(\d{1,19})(?:\.(\d*))?$/.exec(text);
  if (match === null) throw invalidHeader();
  const [, sign, whole = "0", fraction = ""] = match;
  const nanoseconds = Number(fraction.slice(0, 9).padEnd(9, "0"));
  const seconds = inRange(Number(whole));
  if (sign !== "-") return { seconds, nanoseconds };
  // Normalised: the nanoseconds always count forwards.
  return nanoseconds === 0
    ? { seconds: -seconds || 0, nanoseconds: 0 }
    : { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds };
}

/** As parseTime reads it. */
export function formatTime({ seconds, nanoseconds }: Timestamp): string {
  if (nanoseconds === 0) return `${seconds}`;
  const isNegative = seconds < 0;
  const whole = isNegative ? -(seconds + 1) : seconds;
  const fraction = isNegative ? 1_000_000_000 - nanoseconds : nanoseconds;
  return `${isNegative ? "-" : ""}${whole}.${fraction.toString().padStart(9, "0").replace(/0+$/, "")}`;
}
