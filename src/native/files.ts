import { constants } from "node:fs";
import { errnoOf } from "#base/errors";
import type { Owner } from "#base/id-mappings";
import { bind, bindSyscall, check, cstring, type PathBytes } from "./call.ts";

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_EMPTY_PATH = 0x1000;
/** statx(2): what the kernel knows already. */
export const AT_STATX_DONT_SYNC = 0x4000;

export const O_PATH = 0o10000000;
export const O_CLOEXEC = 0o2000000;
export const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;

/** openat2(2), resolve flags. */
export const RESOLVE_NO_XDEV = 0x01;
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_BENEATH = 0x08;
export const RESOLVE_IN_ROOT = 0x10;
/** Fails with EAGAIN rather than wait for a file system (Linux 5.12). */
export const RESOLVE_CACHED = 0x20;

export const S_IFMT = constants.S_IFMT;
export const S_IFSOCK = constants.S_IFSOCK;
export const S_IFLNK = constants.S_IFLNK;
export const S_IFREG = constants.S_IFREG;
export const S_IFBLK = constants.S_IFBLK;
export const S_IFDIR = constants.S_IFDIR;
export const S_IFCHR = constants.S_IFCHR;
export const S_IFIFO = constants.S_IFIFO;

export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;

export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;

export interface OpenHow {
  readonly flags: number;
  readonly mode?: number;
  /** RESOLVE_ bits. */
  readonly resolve?: number;
}

const sysOpenat2 = bindSyscall(437, ["int", "void *", "void *", "ulong"]);

/** Opens below `dirfd`. O_CLOEXEC is always set. */
export function openat2(dirfd: number, path: PathBytes, how: OpenHow): number {
  for (let look = 1; ; look++) {
    try {
      return openat2Once(dirfd, path, how);
    } catch (error) {
      // Something was renamed or mounted, anywhere, while `..` was followed: the kernel asks to look again (openat2(2)).
      if (errnoOf(error) !== "EAGAIN" || look === maxLooks) throw error;
    }
  }
}

const maxLooks = 128;

function openat2Once(dirfd: number, path: PathBytes, how: OpenHow): number {
  const struct = new BigUint64Array([BigInt(how.flags | O_CLOEXEC), BigInt(how.mode ?? 0), BigInt(how.resolve ?? 0)]);
  const result = sysOpenat2(dirfd, cstring(path, "openat2"), new Uint8Array(struct.buffer), 24);
  return check(result, "openat2", path);
}

const F_DUPFD_CLOEXEC = 1030;
const sysFcntl = bind("fcntl", "int", ["int", "int", "int"]);
/** Another descriptor of what \`fd\` is open on, owned by the caller. */
export function dup(fd: number): number {
  return check(sysFcntl(fd, F_DUPFD_CLOEXEC, 0), "fcntl");
}

const sysMkdirat = bind("mkdirat", "int", ["int", "void *", "uint"]);
export function mkdirat(dirfd: number, path: PathBytes, mode: number): void {
  check(sysMkdirat(dirfd, cstring(path, "mkdirat"), mode), "mkdirat", path);
}

/** As glibc's makedev(3): the major in bits 8–19 and 32–63, the minor in bits 0–7 and 20–31. */
export function makeDevice(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | (low & 0xffn);
}

const sysMknodat = bind("mknodat", "int", ["int", "void *", "uint", "uint64"]);
/** `mode` carries the type (S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK); `device` comes from makeDevice. */
export function mknodat(dirfd: number, path: PathBytes, mode: number, device: bigint): void {
  check(sysMknodat(dirfd, cstring(path, "mknodat"), mode, device), "mknodat", path);
}

const sysSymlinkat = bind("symlinkat", "int", ["void *", "int", "void *"]);
export function symlinkat(target: PathBytes, dirfd: number, path: PathBytes): void {
  check(sysSymlinkat(cstring(target, "symlinkat"), dirfd, cstring(path, "symlinkat")), "symlinkat", path);
}

const sysLinkat = bind("linkat", "int", ["int", "void *", "int", "void *", "int"]);
export function linkat(oldDirfd: number, oldPath: PathBytes, newDirfd: number, newPath: PathBytes, flags = 0): void {
  const [from, to] = [cstring(oldPath, "linkat"), cstring(newPath, "linkat")];
  check(sysLinkat(oldDirfd, from, newDirfd, to, flags), "linkat", newPath);
}

const sysUnlinkat = bind("unlinkat", "int", ["int", "void *", "int"]);
export function unlinkat(dirfd: number, path: PathBytes, flags = 0): void {
  check(sysUnlinkat(dirfd, cstring(path, "unlinkat"), flags), "unlinkat", path);
}

const sysRenameat2 = bind("renameat2", "int", ["int", "void *", "int", "void *", "uint"]);
export function renameat2(oldDirfd: number, oldPath: PathBytes, newDirfd: number, newPath: PathBytes, flags = 0): void {
  const [from, to] = [cstring(oldPath, "renameat2"), cstring(newPath, "renameat2")];
  check(sysRenameat2(oldDirfd, from, newDirfd, to, flags), "renameat2", oldPath);
}

export type { Owner };

const sysFchownat = bind("fchownat", "int", ["int", "void *", "uint", "uint", "int"]);
/** With path "" and AT_EMPTY_PATH it is the file that `dirfd` names, O_PATH included. */
export function fchownat(dirfd: number, path: PathBytes, owner: Owner, flags: number): void {
  check(sysFchownat(dirfd, cstring(path, "fchownat"), owner.uid, owner.gid, flags), "fchownat", path);
}

const sysFchmodat = bind("fchmodat", "int", ["int", "void *", "uint", "int"]);
/** Follows symbolic links; use fdPath of an O_PATH descriptor to mean exactly one inode. */
export function fchmodat(dirfd: number, path: PathBytes, mode: number): void {
  check(sysFchmodat(dirfd, cstring(path, "fchmodat"), mode, 0), "fchmodat", path);
}

/** A point in time as the kernel keeps it: whole seconds since 1970 (may be negative) and 0–999999999 ns. */
export interface Timestamp {
  readonly seconds: number;
  readonly nanoseconds: number;
}

const sysUtimensat = bind("utimensat", "int", ["int", "void *", "void *", "int"]);
export function utimensat(dirfd: number, path: PathBytes, atime: Timestamp, mtime: Timestamp, flags: number): void {
  const times = new BigInt64Array([
    BigInt(atime.seconds),
    BigInt(atime.nanoseconds),
    BigInt(mtime.seconds),
    BigInt(mtime.nanoseconds),
  ]);
  const result = sysUtimensat(dirfd, cstring(path, "utimensat"), new Uint8Array(times.buffer), flags);
  check(result, "utimensat", path);
}

const sysReadlinkat = bind("readlinkat", "long", ["int", "void *", "void *", "ulong"]);
/** With path "" it reads the link that `dirfd` (O_PATH|O_NOFOLLOW) names. */
export function readlinkat(dirfd: number, path: PathBytes): Buffer {
  const target = Buffer.allocUnsafe(4096);
  const length = check(sysReadlinkat(dirfd, cstring(path, "readlinkat"), target, target.length), "readlinkat", path);
  return target.subarray(0, length);
}

const sysSyncfs = bind("syncfs", "int", ["int"]);
/** Writes out the whole file system that holds `fd`. Blocks: for worker threads. */
export function syncfs(fd: number): void {
  check(sysSyncfs(fd), "syncfs");
}

const sysFlock = bind("flock", "int", ["int", "int"]);
export function flock(fd: number, operation: number): void {
  check(sysFlock(fd, operation), "flock");
}

/** ioctl_iflags(2), ext4: what is made in this directory has nothing to do with its neighbours, and is best put far from them. */
export const FS_TOPDIR_FL = 0x20000;

const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const sysIoctl = bind("ioctl", "int", ["int", "ulong", "void *"]);
export function getInodeFlags(fd: number): number {
  const flags = new Uint32Array(1);
  check(sysIoctl(fd, FS_IOC_GETFLAGS, new Uint8Array(flags.buffer)), "ioctl");
  return flags[0] ?? 0;
}

export function setInodeFlags(fd: number, flags: number): void {
  check(sysIoctl(fd, FS_IOC_SETFLAGS, new Uint8Array(new Uint32Array([flags]).buffer)), "ioctl");
}

/** A path that names what `fd` is open on, for calls that take no descriptor. The link is the kernel's: nothing is resolved again. */
export const fdPath = (fd: number): string => `/proc/self/fd/${fd}`;
