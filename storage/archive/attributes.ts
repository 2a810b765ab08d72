import { closeSync, fchmodSync, fchownSync } from "node:fs";
import { errnoOf } from "#base/errors";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  fchmodat,
  fchownat,
  fdPath,
  fsetxattr,
  lsetxattr,
  O_NOFOLLOW,
  O_PATH,
  type Owner,
  openat2,
  setxattr,
  type Timestamp,
  utimensat,
} from "#native";
import type { TarEntry } from "../tar/entry.ts";

/**
 * Which extended attributes an archive may set. Not trusted.*, least of all trusted.overlay.*: they would let an image tell
 * the overlay file system where to look. Not the labels of the host's security modules.
 */
export function isAllowedXattr(name: string): boolean {
  if (name.startsWith("user.")) return !name.startsWith("user.overlay.");
  return name === "security.capability" || name.startsWith("system.posix_acl_");
}

/** Owner before xattrs and mode: chown(2) drops capabilities and setuid bits. */
export function applyToFile(fd: number, entry: TarEntry, owner: Owner): void {
  fchownSync(fd, owner.uid, owner.gid);
  applyXattrs(entry, (name, value) => fsetxattr(fd, name, value));
  fchmodSync(fd, entry.mode);
  utimensat(fd, "", accessTime(entry), entry.mtime, AT_EMPTY_PATH);
}

/** For what cannot be opened without effects: directories, devices, fifos. The O_PATH descriptor names one inode for good. */
export function applyToNode(parentFd: number, name: Uint8Array, entry: TarEntry, owner: Owner): void {
  const fd = openat2(parentFd, name, { flags: O_PATH | O_NOFOLLOW });
  try {
    const path = fdPath(fd);
    fchownat(fd, "", owner, AT_EMPTY_PATH);
    applyXattrs(entry, (key, value) => setxattr(path, key, value));
    fchmodat(AT_FDCWD, path, entry.mode);
    utimensat(AT_FDCWD, path, accessTime(entry), entry.mtime, 0);
  } finally {
    closeSync(fd);
  }
}

/** Links have no mode of their own. */
export function applyToSymlink(parentFd: number, name: Uint8Array, entry: TarEntry, owner: Owner): void {
  fchownat(parentFd, name, owner, AT_SYMLINK_NOFOLLOW);
  const path = Buffer.concat([Buffer.from(`${fdPath(parentFd)}/`), name]);
  applyXattrs(entry, (key, value) => lsetxattr(path, key, value));
  utimensat(parentFd, name, accessTime(entry), entry.mtime, AT_SYMLINK_NOFOLLOW);
}

/** moby: the later of the two, so that a layer without access times gets sensible ones. */
export function accessTime({ atime, mtime }: TarEntry): Timestamp {
  if (atime === undefined || atime.seconds < mtime.seconds) return mtime;
  return atime.seconds === mtime.seconds && atime.nanoseconds < mtime.nanoseconds ? mtime : atime;
}

function applyXattrs(entry: TarEntry, set: (name: string, value: Uint8Array) => void): void {
  for (const [name, value] of entry.xattrs) {
    if (isAllowedXattr(name)) ignoreUnsupported(() => set(name, value));
  }
}

/** A file system without them, or a kind of file that has none (user.* on links): the file matters more (moby: best effort). */
function ignoreUnsupported(work: () => void): void {
  try {
    work();
  } catch (error) {
    const code = errnoOf(error);
    if (code !== "ENOTSUP" && code !== "EOPNOTSUPP" && code !== "EPERM") throw error;
  }
}
