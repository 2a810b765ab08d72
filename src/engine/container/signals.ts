import { EngineError } from "#base/errors";

/** moby/sys/signal: names without SIG; the real-time ones are relative to RTMIN and RTMAX. */
const numbers: Readonly<Record<string, number>> = {
  ABRT: 6,
  ALRM: 14,
  BUS: 7,
  CHLD: 17,
  CLD: 17,
  CONT: 18,
  FPE: 8,
  HUP: 1,
  ILL: 4,
  INT: 2,
  IO: 29,
  IOT: 6,
  KILL: 9,
  PIPE: 13,
  POLL: 29,
  PROF: 27,
  PWR: 30,
  QUIT: 3,
  SEGV: 11,
  STKFLT: 16,
  STOP: 19,
  SYS: 31,
  TERM: 15,
  TRAP: 5,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  URG: 23,
  USR1: 10,
  USR2: 12,
  VTALRM: 26,
  WINCH: 28,
  XCPU: 24,
  XFSZ: 25,
  RTMIN: 34,
  RTMAX: 64,
};

export const SIGTERM = 15;
export const SIGKILL = 9;
const lastSignal = 64;

/** A name with or without SIG, in any case, or a number, whether there is such a signal or not. */
export function parseSignal(text: string): number {
  const number = /^[+-]?\d+$/.test(text) ? Number(text) : named(text.toUpperCase().replace(/^SIG/, ""));
  if (number === undefined || number === 0 || !Number.isSafeInteger(number))
    throw new EngineError("invalidParameter", `invalid signal: ${text}`);
  return number;
}

/** Whether the kernel knows it. */
export const isSignal = (number: number): boolean => number >= 1 && number <= lastSignal;

/** The C library keeps two of the real-time signals for itself. */
export function checkSignal(number: number): void {
  if (isSignal(number) && number !== 32 && number !== 33) return;
  throw new EngineError("invalidParameter", `the linux daemon does not support signal ${number}`);
}

function named(name: string): number | undefined {
  const [, base, offset] = /^(RTMIN\+|RTMAX-(?!15))([1-9]|1[0-5])$/.exec(name) ?? [];
  if (base === undefined) return numbers[name];
  return base === "RTMIN+" ? 34 + Number(offset) : 64 - Number(offset);
}
