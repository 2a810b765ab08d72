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
  return typeof error.code === "string" ? error.code : undefined;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
