import pino from "pino";

/** Structured log: constant message, fields `id`, `image`, `digest`, `network`, `pid`, `ms`, `err`. */
export type Log = pino.Logger;
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

export function createLog(level: LogLevel): Log {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: true }));
}
