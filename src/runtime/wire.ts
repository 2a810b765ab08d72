/** What stands on the shim's socket (docs/shim-protocol.md): types, and the parsers that make them from text. */
import { RuntimeError } from "./runtime-error.ts";

export type TaskStatus = "creating" | "created" | "running" | "paused" | "stopped";

export interface ExitRecord {
  /** 128 + signal for a process that a signal ended. */
  readonly exitCode: number;
  /** 0 for a process that exited by itself. */
  readonly signal: number;
  /** RFC 3339 with nanoseconds. */
  readonly exitedAt: string;
  readonly oomKilled: boolean;
}

export interface ExecExit {
  readonly exec: string;
  readonly exitCode: number;
}

export interface ExecState {
  readonly exec: string;
  /** 0 before it was started. */
  readonly pid: number;
  /** Absent while it runs. */
  readonly exitCode?: number;
}

export interface TaskState {
  readonly status: TaskStatus;
  readonly pid: number;
  /** Empty before the start. */
  readonly startedAt: string;
  readonly exit?: ExitRecord;
  readonly execs: readonly ExecState[];
}

export type ShimEvent =
  | ({ readonly event: "exit" } & ExitRecord)
  | ({ readonly event: "exec-exit" } & ExecExit)
  | { readonly event: "oom" }
  | { readonly event: "log-rotated" };

export type Fields = Readonly<Record<string, unknown>>;

export type ShimMessage =
  | { readonly kind: "ok"; readonly seq: number; readonly ok: Fields }
  | { readonly kind: "error"; readonly seq: number; readonly error: RuntimeError }
  | { readonly kind: "event"; readonly event: ShimEvent };

export function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new Error(`the shim sent no object where ${what} was expected`);
}

export function parseFields(text: string): Fields {
  return fieldsOf(JSON.parse(text), "a line");
}

export function numberField(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== "number") throw new Error(`the shim sent no number "${name}"`);
  return value;
}

export function stringField(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw new Error(`the shim sent no text "${name}"`);
  return value;
}

export function parseExitRecord(value: unknown): ExitRecord {
  const fields = fieldsOf(value, "an exit record");
  return {
    exitCode: numberField(fields, "exitCode"),
    signal: numberField(fields, "signal"),
    exitedAt: stringField(fields, "exitedAt"),
    oomKilled: fields.oomKilled === true,
  };
}

function parseExecState(value: unknown): ExecState {
  const fields = fieldsOf(value, "an exec");
  const exec = stringField(fields, "exec");
  const pid = numberField(fields, "pid");
  return fields.exitCode === undefined ? { exec, pid } : { exec, pid, exitCode: numberField(fields, "exitCode") };
}

const statuses: readonly TaskStatus[] = ["creating", "created", "running", "paused", "stopped"];

export function parseTaskState(fields: Fields): TaskState {
  const status = statuses.find((known) => known === fields.status);
  if (status === undefined) throw new Error(`the shim sent an unknown status: ${String(fields.status)}`);
  const state = {
    status,
    pid: numberField(fields, "pid"),
    startedAt: stringField(fields, "startedAt"),
    execs: Array.isArray(fields.execs) ? fields.execs.map(parseExecState) : [],
  };
  return fields.exit === undefined ? state : { ...state, exit: parseExitRecord(fields.exit) };
}

export function parseFailure(value: unknown): RuntimeError {
  const fields = fieldsOf(value, "an error");
  return new RuntimeError({
    stage: stringField(fields, "stage"),
    errno: numberField(fields, "errno"),
    message: stringField(fields, "message"),
  });
}

function parseEvent(fields: Fields): ShimEvent {
  switch (fields.event) {
    case "exit":
      return { event: "exit", ...parseExitRecord(fields) };
    case "exec-exit":
      return { event: "exec-exit", exec: stringField(fields, "exec"), exitCode: numberField(fields, "exitCode") };
    case "oom":
    case "log-rotated":
      return { event: fields.event };
    default:
      throw new Error(`the shim sent an unknown event: ${String(fields.event)}`);
  }
}

export function parseMessage(line: string): ShimMessage {
  const fields = parseFields(line);
  if (fields.event !== undefined) return { kind: "event", event: parseEvent(fields) };
  if (fields.error !== undefined)
    return { kind: "error", seq: numberField(fields, "seq"), error: parseFailure(fields.error) };
  return { kind: "ok", seq: numberField(fields, "seq"), ok: fieldsOf(fields.ok, "an answer") };
}
