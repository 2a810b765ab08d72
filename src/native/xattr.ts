import { errnoOf } from "#base/errors";
import { bind, check, cstring, type PathBytes } from "./call.ts";

/** How far the kernel goes: XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h. */
const maxBytes = 65536;

const sysFgetxattr = bind("fgetxattr", "long", ["int", "void *", "void *", "ulong"]);
const sysGetxattr = bind("getxattr", "long", ["void *", "void *", "void *", "ulong"]);
const sysLgetxattr = bind("lgetxattr", "long", ["void *", "void *", "void *", "ulong"]);
const sysFlistxattr = bind("flistxattr", "long", ["int", "void *", "ulong"]);
const sysListxattr = bind("listxattr", "long", ["void *", "void *", "ulong"]);
const sysLlistxattr = bind("llistxattr", "long", ["void *", "void *", "ulong"]);
const sysFsetxattr = bind("fsetxattr", "int", ["int", "void *", "void *", "ulong", "int"]);
const sysSetxattr = bind("setxattr", "int", ["void *", "void *", "void *", "ulong", "int"]);
const sysLsetxattr = bind("lsetxattr", "int", ["void *", "void *", "void *", "ulong", "int"]);
const sysFremovexattr = bind("fremovexattr", "int", ["int", "void *"]);

/** The value, or undefined when the file has no such attribute or the file system keeps none. */
export function fgetxattr(fd: number, name: PathBytes): Buffer | undefined {
  return read("fgetxattr", (value) => sysFgetxattr(fd, cstring(name, "fgetxattr"), value, value.length), name);
}

/** Follows links: with `fdPath(fd)` it reads the inode of an O_PATH descriptor. */
export function getxattr(path: PathBytes, name: PathBytes): Buffer | undefined {
  const at = cstring(path, "getxattr");
  return read("getxattr", (value) => sysGetxattr(at, cstring(name, "getxattr"), value, value.length), name);
}

export function lgetxattr(path: PathBytes, name: PathBytes): Buffer | undefined {
  const at = cstring(path, "lgetxattr");
  return read("lgetxattr", (value) => sysLgetxattr(at, cstring(name, "lgetxattr"), value, value.length), name);
}

export function flistxattr(fd: number): Buffer[] {
  return list("flistxattr", (names) => sysFlistxattr(fd, names, names.length));
}

export function listxattr(path: PathBytes): Buffer[] {
  const at = cstring(path, "listxattr");
  return list("listxattr", (names) => sysListxattr(at, names, names.length));
}

export function llistxattr(path: PathBytes): Buffer[] {
  const at = cstring(path, "llistxattr");
  return list("llistxattr", (names) => sysLlistxattr(at, names, names.length));
}

export function fsetxattr(fd: number, name: PathBytes, value: Uint8Array): void {
  check(sysFsetxattr(fd, cstring(name, "fsetxattr"), value, value.length, 0), "fsetxattr", name);
}

/** Follows links: with `fdPath(fd)` it writes to the inode of an O_PATH descriptor. */
export function setxattr(path: PathBytes, name: PathBytes, value: Uint8Array): void {
  const result = sysSetxattr(cstring(path, "setxattr"), cstring(name, "setxattr"), value, value.length, 0);
  check(result, "setxattr", name);
}

export function lsetxattr(path: PathBytes, name: PathBytes, value: Uint8Array): void {
  const result = sysLsetxattr(cstring(path, "lsetxattr"), cstring(name, "lsetxattr"), value, value.length, 0);
  check(result, "lsetxattr", name);
}

export function fremovexattr(fd: number, name: PathBytes): void {
  check(sysFremovexattr(fd, cstring(name, "fremovexattr")), "fremovexattr", name);
}

function read(syscall: string, call: (value: Uint8Array) => number, name: PathBytes): Buffer | undefined {
  const value = Buffer.allocUnsafe(maxBytes);
  try {
    // A copy: the scratch buffer is far larger than what is usually in it.
    return Buffer.from(value.subarray(0, check(call(value), syscall, name)));
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENODATA" || code === "ENOTSUP" || code === "EOPNOTSUPP") return undefined;
    throw error;
  }
}

function list(syscall: string, call: (names: Uint8Array) => number): Buffer[] {
  const raw = Buffer.allocUnsafe(maxBytes);
  const result = call(raw);
  try {
    return splitNames(raw.subarray(0, check(result, syscall)));
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOTSUP" || code === "EOPNOTSUPP") return [];
    throw error;
  }
}

function splitNames(raw: Buffer): Buffer[] {
  const names: Buffer[] = [];
  for (let at = 0; at < raw.length; ) {
    const end = raw.indexOf(0, at);
    names.push(Buffer.from(raw.subarray(at, end)));
    at = end + 1;
  }
  return names;
}
