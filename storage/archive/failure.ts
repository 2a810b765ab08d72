import { errnoText } from "#base/errno-text";

/** A system call that failed on an entry, worded as Go's fs.PathError, which dockerd's users see. */
export class PlaceError extends Error {
  readonly code: string;
  constructor(operation: string, path: string, code: string, cause?: unknown) {
    super(`${operation} ${path}: ${cause instanceof XattrError ? cause.message : errnoText(code)}`, { cause });
    this.name = "PlaceError";
    this.code = code;
  }
}

/** An extended attribute that could not be set: the rest of the message, for whoever knows the entry. */
export class XattrError extends Error {
  readonly code: string;
  constructor(name: string, code: string, cause: unknown) {
    super(`xattr ${JSON.stringify(name)}: ${errnoText(code)}`, { cause });
    this.name = "XattrError";
    this.code = code;
  }
}

/** The archive asks for more than it may have. */
export class LimitError extends Error {
  readonly code = "ELIMIT";
  constructor(message: string) {
    super(message);
    this.name = "LimitError";
  }
}

/** A name that leads out of the tree it is for. */
export class BreakoutError extends Error {
  readonly code = "EBREAKOUT";
  constructor(message: string) {
    super(message);
    this.name = "BreakoutError";
  }
}
