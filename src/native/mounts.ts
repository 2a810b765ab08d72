import { closeSync, openSync } from "node:fs";
import { bind, bindSyscall, check, cstring, type PathBytes } from "./call.ts";
import { AT_EMPTY_PATH } from "./files.ts";

/** mount(2) flags. */
export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_SYNCHRONOUS = 16;
export const MS_REMOUNT = 32;
export const MS_MANDLOCK = 64;
export const MS_DIRSYNC = 128;
export const MS_NOATIME = 1024;
export const MS_NODIRATIME = 2048;
export const MS_BIND = 4096;
export const MS_MOVE = 8192;
export const MS_REC = 16384;
export const MS_UNBINDABLE = 1 << 17;
export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MS_SHARED = 1 << 20;
export const MS_RELATIME = 1 << 21;
export const MS_STRICTATIME = 1 << 24;
export const MNT_FORCE = 1;
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

export const FSOPEN_CLOEXEC = 1;
export const FSMOUNT_CLOEXEC = 1;
export const MOVE_MOUNT_F_EMPTY_PATH = 0x04;
export const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
export const OPEN_TREE_CLONE = 1;
export const OPEN_TREE_CLOEXEC = 0o2000000;
export const AT_RECURSIVE = 0x8000;

export const MOUNT_ATTR_RDONLY = 0x01;
export const MOUNT_ATTR_NOSUID = 0x02;
export const MOUNT_ATTR_NODEV = 0x04;
export const MOUNT_ATTR_NOEXEC = 0x08;
export const MOUNT_ATTR_NOATIME = 0x10;
const MOUNT_ATTR_IDMAP = 0x00100000;
export const MOUNT_ATTR_NOSYMFOLLOW = 0x00200000;

export interface MountCall {
  readonly source: PathBytes;
  readonly target: PathBytes;
  readonly type?: string;
  readonly flags?: number;
  /** At most one page, all of it passed to the file system. */
  readonly options?: string;
}

const sysMount = bind("mount", "int", ["void *", "void *", "void *", "ulong", "void *"]);
export function mount(call: MountCall): void {
  const type = call.type === undefined ? null : cstring(call.type, "mount");
  const options = call.options === undefined ? null : cstring(call.options, "mount");
  const [source, target] = [cstring(call.source, "mount"), cstring(call.target, "mount")];
  check(sysMount(source, target, type, call.flags ?? 0, options), "mount", call.target);
}

const sysUmount2 = bind("umount2", "int", ["void *", "int"]);
export function umount2(target: PathBytes, flags = 0): void {
  check(sysUmount2(cstring(target, "umount2"), flags), "umount2", target);
}

const sysFsopen = bindSyscall(430, ["void *", "uint"]);
/** A new file system context: configure it with fsconfig*, then fsmount. The caller owns the fd. */
export function fsopen(type: string): number {
  return check(sysFsopen(cstring(type, "fsopen"), FSOPEN_CLOEXEC), "fsopen", type);
}

const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const sysFsconfig = bindSyscall(431, ["int", "uint", "void *", "void *", "int"]);

export function fsconfigFlag(fd: number, key: string): void {
  check(sysFsconfig(fd, FSCONFIG_SET_FLAG, cstring(key, "fsconfig"), null, 0), "fsconfig", key);
}

/** Values are limited to 255 bytes by the kernel. */
export function fsconfigString(fd: number, key: string, value: PathBytes): void {
  const [name, text] = [cstring(key, "fsconfig"), cstring(value, "fsconfig")];
  check(sysFsconfig(fd, FSCONFIG_SET_STRING, name, text, 0), "fsconfig", key);
}

export function fsconfigCreate(fd: number): void {
  check(sysFsconfig(fd, FSCONFIG_CMD_CREATE, null, null, 0), "fsconfig");
}

const sysFsmount = bindSyscall(432, ["int", "uint", "uint"]);
/** A detached mount: an O_PATH descriptor of its root. It ends when the last descriptor into it is closed. */
export function fsmount(fsfd: number, attributes = 0): number {
  return check(sysFsmount(fsfd, FSMOUNT_CLOEXEC, attributes), "fsmount");
}

const sysMoveMount = bindSyscall(429, ["int", "void *", "int", "void *", "uint"]);
/** Attaches the detached mount `fromFd` to `path` below `toDirfd`; with path "" to what `toDirfd` itself names. */
export function moveMount(fromFd: number, toDirfd: number, path: PathBytes): void {
  const flags = MOVE_MOUNT_F_EMPTY_PATH | (path.length === 0 ? MOVE_MOUNT_T_EMPTY_PATH : 0);
  const result = sysMoveMount(fromFd, cstring("", "move_mount"), toDirfd, cstring(path, "move_mount"), flags);
  check(result, "move_mount", path);
}

const sysOpenTree = bindSyscall(428, ["int", "void *", "uint"]);
export function openTree(dirfd: number, path: PathBytes, flags: number): number {
  return check(sysOpenTree(dirfd, cstring(path, "open_tree"), flags | OPEN_TREE_CLOEXEC), "open_tree", path);
}

export interface MountAttributes {
  /** MOUNT_ATTR_ bits. */
  readonly set?: number;
  readonly clear?: number;
  /** MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE. */
  readonly propagation?: number;
  readonly userNamespaceFd?: number;
}

const sysMountSetattr = bindSyscall(442, ["int", "void *", "uint", "void *", "ulong"]);
export function mountSetattr(dirfd: number, path: PathBytes, flags: number, attributes: MountAttributes): void {
  const { set = 0, clear = 0, propagation = 0, userNamespaceFd = 0 } = attributes;
  const struct = new BigUint64Array([BigInt(set), BigInt(clear), BigInt(propagation), BigInt(userNamespaceFd)]);
  const result = sysMountSetattr(dirfd, cstring(path, "mount_setattr"), flags, new Uint8Array(struct.buffer), 32);
  check(result, "mount_setattr", path);
}

/** Lets a detached mount show the ids of its files as those of the user namespace at a path. */
export function mapIds(mountFd: number, userNamespace: string, propagation = 0): void {
  const userNamespaceFd = openSync(userNamespace, "r");
  try {
    mountSetattr(mountFd, "", AT_EMPTY_PATH, { set: MOUNT_ATTR_IDMAP, propagation, userNamespaceFd });
  } finally {
    closeSync(userNamespaceFd);
  }
}
