import { getSystemErrorMap } from "node:util";

/** Where libuv's words differ from those of the C library, which Go and so Docker's clients know. */
const words: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: "cannot assign requested address",
  EBUSY: "device or resource busy",
  EDQUOT: "disk quota exceeded",
  EEXIST: "file exists",
  EHOSTUNREACH: "no route to host",
  EIO: "input/output error",
  EISDIR: "is a directory",
  ELOOP: "too many levels of symbolic links",
  EMFILE: "too many open files",
  ENAMETOOLONG: "file name too long",
  ENFILE: "too many open files in system",
  ENOMEM: "cannot allocate memory",
  // A NUL in a path, which node does not even try.
  ERR_INVALID_ARG_VALUE: "invalid argument",
  ENOTSUP: "operation not supported",
  EOPNOTSUPP: "operation not supported",
  ERANGE: "numerical result out of range",
  EXDEV: "invalid cross-device link",
};

const texts = new Map([...getSystemErrorMap().values()]);

/** What strerror(3) says, in lower case, as Go prints it. */
export const errnoText = (code: string): string => words[code] ?? texts.get(code) ?? code;
