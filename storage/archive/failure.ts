import { getSystemErrorMap } from "node:util";

/** Go's words where they differ from libuv's. */
const goTexts: Readonly<Record<string, string>> = {
  EEXIST: "file exists",
  ENAMETOOLONG: "file name too long",
  ELOOP: "too many levels of symbolic links",
  EISDIR: "is a directory",
  ENOTSUP: "operation not supported",
  EDQUOT: "disk quota exceeded",
};

/** A system call that failed on an entry, worded as Go's fs.PathError, which dockerd's users see. */
export class PlaceError extends Error {
  readonly code: string;
  constructor(operation: string, path: string, code: string, cause: unknown) {
    super(`${operation} ${path}: ${cause instanceof XattrError ? cause.message : describe(code, cause)}`, { cause });
    this.name = "PlaceError";
    this.code = code;
  }
}

/** An extended attribute that could not be set: the rest of the message, for whoever knows the entry. */
export class XattrError extends Error {
  readonly code: string;
  constructor(name: string, code: string, cause: unknown) {
    super(`xattr ${JSON.stringify(name)}: ${describe(code, cause)}`, { cause });
    this.name = "XattrError";
    this.code = code;
  }
}

function describe(code: string, cause: unknown): string {
  const known = goTexts[code];
  if (known !== undefined) return known;
  for (const [name, text] of getSystemErrorMap().values()) if (name === code) return text;
  return String(cause);
}

/** The archive asks for more than it may have. */
export class LimitError extends Error {
  readonly code = "ELIMIT";
  constructor(message: string) {
    super(message);
    this.name = "LimitError";
  }
}
