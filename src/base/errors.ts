import { constants } from "node:os";
import { errnoText } from "./errno-text.ts";

/**
 * What a caller can do about a failure. One table (`src/api/errors.ts`) turns a kind into an HTTP status;
 * nothing else knows both. The names are moby's `errdefs`.
 */
export type ErrorKind =
  | "notModified"
  | "invalidParameter"
  | "unauthorized"
  | "forbidden"
  | "notFound"
  | "conflict"
  | "tooManyRequests"
  | "system"
  | "notImplemented"
  | "unavailable";

/** A failure with Docker's own wording: clients and scripts match the text, so it is part of the API. */
export class EngineError extends Error {
  readonly kind: ErrorKind;
  constructor(kind: ErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EngineError";
    this.kind = kind;
  }
}

export function isKind(error: unknown, kind: ErrorKind): error is EngineError {
  return error instanceof EngineError && error.kind === kind;
}

/** The `code` of a failed system call ("ENOENT"), wherever it came from: node, `#native` or undici. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  if (error.code === unnamedQuota) return "EDQUOT";
  return typeof error.code === "string" ? error.code : undefined;
}

/** What node calls EDQUOT, for which libuv has no name. */
const unnamedQuota = `Unknown system error -${constants.errno.EDQUOT}`;

/** What went wrong first, where undoing it went wrong as well. */
export function firstOf(error: unknown): unknown {
  return error instanceof SuppressedError ? firstOf(error.suppressed) : error;
}

/** For people and clients. A failed system call is told in Go's words and order, as Docker's clients know them. */
export function messageOf(error: unknown): string {
  const first = firstOf(error);
  if (!(first instanceof Error)) return String(first);
  if (errnoOf(first) === "SQLITE_FULL") return "no space left on device";
  return isSystemError(first) ? describeCall(first) : first.message;
}

/** What goes wrong in `work` is told behind `words`. */
export function attempt<T>(words: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new Error(`${words}: ${messageOf(error)}`, { cause: error });
  }
}

interface SystemError extends Error {
  readonly code: string;
  readonly syscall: string;
  readonly path?: string;
  readonly dest?: string;
}

/** Node's own about files, and those of `#native`; what goes wrong on the network has other fields to tell of. */
const isSystemError = (error: Error): error is SystemError =>
  "errno" in error &&
  typeof error.errno === "number" &&
  "syscall" in error &&
  errnoOf(error) !== undefined &&
  !("address" in error || "hostname" in error);

const describeCall = (error: SystemError): string => {
  const { syscall, path, dest } = error;
  return `${[syscall, path, dest].filter((part) => part !== undefined).join(" ")}: ${errnoText(errnoOf(error) ?? "")}`;
};
