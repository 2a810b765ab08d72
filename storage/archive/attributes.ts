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
import { XattrError } from "./failure.ts";

/** They would let an image tell the overlay file system where to look; and labels are the host's to give. */
const refused = ["trusted.overlay.", "user.overlay.", "security.selinux", "security.SMACK64", "security.apparmor"];

/** Which extended attributes an archive may set. */
export const isAllowedXattr = (name: string): boolean => !refused.some((start) => name.startsWith(start));

/** Owner before xattrs and mode: chown(2) drops capabilities and setuid bits. */
export function applyToFile(fd: number, entry: TarEntry, owner: Owner): void {
  fchownSync(fd, owner.uid, owner.gid);
  applyXattrs(entry, (name, value) => fsetxattr(fd, name, value));
  fchmodSync(fd, entry.mode);
  utimensat(fd, "", accessTime(entry), modificationTime(entry), AT_EMPTY_PATH);
}

/** For what cannot be opened without effects: directories, devices, fifos. The O_PATH descriptor names one inode for good. */
export function applyToNode(parentFd: number, name: Uint8Array, entry: TarEntry, owner: Owner): void {
  const fd = openat2(parentFd, name, { flags: O_PATH | O_NOFOLLOW });
  try {
    const path = fdPath(fd);
    fchownat(fd, "", owner, AT_EMPTY_PATH);
    applyXattrs(entry, (key, value) => setxattr(path, key, value));
    fchmodat(AT_FDCWD, path, entry.mode);
    utimensat(AT_FDCWD, path, accessTime(entry), modificationTime(entry), 0);
  } finally {
    closeSync(fd);
  }
}

/** Links have no mode of their own. */
export function applyToSymlink(parentFd: number, name: Uint8Array, entry: TarEntry, owner: Owner): void {
  fchownat(parentFd, name, owner, AT_SYMLINK_NOFOLLOW);
  const path = Buffer.concat([Buffer.from(`${fdPath(parentFd)}/`), name]);
  applyXattrs(entry, (key, value) => lsetxattr(path, key, value));
  utimensat(parentFd, name, accessTime(entry), modificationTime(entry), AT_SYMLINK_NOFOLLOW);
}

/** moby: the later of the two, so that a layer without access times gets sensible ones. */
export function accessTime({ atime, mtime }: TarEntry): Timestamp {
  if (atime === undefined || atime.seconds < mtime.seconds) return bounded(mtime);
  return bounded(atime.seconds === mtime.seconds && atime.nanoseconds < mtime.nanoseconds ? mtime : atime);
}

export const modificationTime = ({ mtime }: TarEntry): Timestamp => bounded(mtime);

/** moby's boundTime: from 1970 to where 64 bits of nanoseconds end; anything else is 1970. */
function bounded(time: Timestamp): Timestamp {
  const isRepresentable = time.seconds >= 0 && time.seconds < Math.floor(2 ** 63 / 1e9);
  return isRepresentable ? time : { seconds: 0, nanoseconds: 0 };
}

function applyXattrs(entry: TarEntry, set: (name: string, value: Uint8Array) => void): void {
  for (const [name, value] of entry.xattrs) {
    if (isAllowedXattr(name)) applyXattr(name, () => set(name, value));
  }
}

/** A file system without them, or a kind of file that has none (user.* on links): the file matters more (moby: best effort). */
export function applyXattr(name: string, set: () => void): void {
  try {
    set();
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    if (!unsupported.has(code)) throw new XattrError(name, code, error);
  }
}

const unsupported: ReadonlySet<string> = new Set(["ENOTSUP", "EOPNOTSUPP", "EPERM"]);
