import { bind, check } from "./call.ts";
import { O_CLOEXEC } from "./files.ts";

/** Two ends with file descriptions of their own: one may block while the other does not. The caller owns both. */
export interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
}

const sysPipe2 = bind("pipe2", "int", ["void *", "int"]);
export function pipe2(flags = 0): Pipe {
  const ends = new Int32Array(2);
  check(sysPipe2(new Uint8Array(ends.buffer), flags | O_CLOEXEC), "pipe2");
  return { readFd: ends[0] ?? -1, writeFd: ends[1] ?? -1 };
}

const F_SETPIPE_SZ = 1031;
const sysFcntl = bind("fcntl", "int", ["int", "int", "int"]);
/** Asks for a larger buffer between the ends; the kernel's own limit (fs.pipe-max-size) is EPERM without CAP_SYS_RESOURCE. */
export function setPipeSize(fd: number, sizeBytes: number): void {
  check(sysFcntl(fd, F_SETPIPE_SZ, sizeBytes), "fcntl");
}
