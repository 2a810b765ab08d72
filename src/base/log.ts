import pino from "pino";

/** Structured log: constant message, fields `id`, `image`, `digest`, `network`, `pid`, `ms`, `err`. */
export type Log = pino.Logger;
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

/** On stderr, a line each: `text` is logfmt, as dockerd writes it. */
export function createLog(level: LogLevel, format: "text" | "json" = "text"): Log {
  const stderr = pino.destination({ fd: 2, sync: true });
  const text = { write: (line: string) => stderr.write(asText(JSON.parse(line))) };
  const formatters = { level: (label: string) => ({ level: label }) };
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters };
  return pino(options, format === "json" ? stderr : text);
}

function asText({ time, level, msg, ...fields }: Record<string, unknown>): string {
  const all = Object.entries({ time, level, msg, ...fields }).filter(([, value]) => value !== undefined);
  return `${all.map(([name, value]) => `${name}=${quote(value)}`).join(" ")}\n`;
}

/** Of an error its message; bare where logfmt needs no quotes. */
function quote(value: unknown): string {
  const shown = typeof value === "object" && value !== null && "message" in value ? value.message : value;
  const text = typeof shown === "string" ? shown : JSON.stringify(shown);
  return /^[\w\-./@^+]+$/.test(text) ? text : JSON.stringify(text);
}
