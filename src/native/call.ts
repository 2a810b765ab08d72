import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import koffi from "koffi";

/** A path or a name as the kernel sees it: bytes. A string is taken as UTF-8. */
export type PathBytes = string | Uint8Array;

/** The call makes a new map each time, and failures are not rare: looking whether something is there is one. */
const errorMap = getSystemErrorMap().set(-constants.errno.EDQUOT, ["EDQUOT", "disk quota exceeded"]);

/** A failed system call, in the shape of node's own: `code` is the errno's name and the only thing to decide by. */
export class SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly path: string | undefined;
  constructor(errno: number, syscall: string, path?: PathBytes) {
    const [code, text] = errorMap.get(-errno) ?? [`E${errno}`, "unknown error"];
    const shown = path === undefined ? undefined : displayPath(path);
    super(`${code}: ${text}, ${syscall}${shown === undefined ? "" : ` '${shown}'`}`);
    this.name = "SystemError";
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
    this.path = shown;
  }
}

export const displayPath = (path: PathBytes): string =>
  typeof path === "string" ? path : Buffer.from(path.buffer, path.byteOffset, path.byteLength).toString("utf8");

// The calling program's own symbols: libc is in there whatever its file is called.
const libc = koffi.load(null);

type Native = (...args: readonly (number | bigint | Uint8Array | null)[]) => number;

/** Binds one libc function. Pointers are buffers; every argument is passed as declared, nothing is copied. */
export function bind(name: string, result: string, args: readonly string[]): Native {
  return libc.func(name, result, [...args]);
}

/** Binds a system call that libc may have no name for. All of ours are younger than 5.1: one number on every architecture. */
export function bindSyscall(number: number, args: readonly string[]): Native {
  const call = libc.func("syscall", "long", ["long", ...args]);
  return (...values) => call(number, ...values);
}

/** Where the bytes are, for a structure that points to them. It must not outlive them. */
export const addressOf = (bytes: Uint8Array): bigint => koffi.address(bytes);

/** Throws the errno of the call just made when it returned -1. Nothing may come between the call and this. */
export function check(result: number, syscall: string, path?: PathBytes): number {
  if (result !== -1) return result;
  throw new SystemError(koffi.errno(), syscall, path);
}

/** The same bytes with a NUL behind them. A NUL inside would cut the path: it is refused as the kernel refuses bad paths. */
export function cstring(path: PathBytes, syscall: string): Uint8Array {
  const bytes = typeof path === "string" ? Buffer.from(path) : path;
  if (bytes.includes(0)) throw new SystemError(koffi.os.errno.EINVAL ?? 22, syscall, path);
  const terminated = Buffer.allocUnsafe(bytes.length + 1);
  terminated.set(bytes);
  terminated[bytes.length] = 0;
  return terminated;
}
