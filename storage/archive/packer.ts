import { closeSync, readSync } from "node:fs";
import { errnoOf } from "#base/errors";
import { overflowId, toContainer } from "#base/id-mappings";
import {
  type FileStat,
  fdPath,
  fstat,
  getxattr,
  isType,
  listxattr,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  type Owner,
  openat2,
  type PathBytes,
  readDirectory,
  readlinkat,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from "#native";
import { opaqueMarker, opaqueXattr, whiteoutPrefix } from "../layers/whiteouts.ts";
import type { EntryType, TarEntry } from "../tar/entry.ts";
import { encodeHeader, endMarker, padding } from "../tar/writer.ts";
import type { PackOptions } from "../types.ts";
import { isAllowedXattr } from "./attributes.ts";
import { PATH_MAX } from "./paths.ts";
import { openInRoot } from "./tree.ts";

/** Takes the bytes before it returns: the buffer is used again. */
export type Output = (bytes: Uint8Array) => void;

/** Writes the tree at `path` as a tar: directories before their contents, names in byte order, each inode's bytes once. */
export function packTree(rootFd: number, path: PathBytes, options: PackOptions, output: Output): void {
  const fd = openInRoot(rootFd, path, O_PATH | O_NOFOLLOW);
  try {
    new Packer(options, output, fstat(fd)).pack(fd, Buffer.from(options.name ?? lastPart(path)));
  } finally {
    closeSync(fd);
  }
  output(endMarker());
}

function lastPart(path: PathBytes): string {
  const text = typeof path === "string" ? path : Buffer.from(path).toString("utf8");
  return text.split("/").findLast((part) => part !== "") ?? "";
}

const types: ReadonlyMap<number, EntryType> = new Map([
  [S_IFREG, "file"],
  [S_IFDIR, "directory"],
  [S_IFLNK, "symlink"],
  [S_IFCHR, "char"],
  [S_IFBLK, "block"],
  [S_IFIFO, "fifo"],
]);

const chunkBytes = 1 << 20;
const nothing = Buffer.alloc(0);
const slash = Buffer.from("/");

class Packer {
  readonly #options: PackOptions;
  readonly #output: Output;
  readonly #top: FileStat;
  /** Inode → the name that it was first packed under. */
  readonly #seen = new Map<string, Buffer>();
  readonly #chunk = Buffer.allocUnsafe(chunkBytes);

  constructor(options: PackOptions, output: Output, top: FileStat) {
    this.#options = options;
    this.#output = output;
    this.#top = top;
  }

  /** Packs what the O_PATH descriptor `fd` is open on. An empty name leaves the entry itself out. */
  pack(fd: number, name: Buffer): void {
    const stat = fstat(fd);
    const type = types.get(stat.mode & S_IFMT);
    // Sockets have no place in a tar; moby leaves them out too.
    if (type === undefined) return;
    const isForeign = this.#options.isOneFileSystem === true && stat.mountId !== this.#top.mountId;
    if (type === "directory") this.#directory(fd, stat, name, isForeign);
    else if (this.#options.whiteouts === "overlay" && isWhiteout(stat)) this.#whiteout(stat, name);
    else this.#leaf(fd, { stat, type, name, isForeign });
  }

  #directory(fd: number, stat: FileStat, name: Buffer, isForeign: boolean): void {
    if (name.length > 0) this.#header(this.#entry(fd, stat, "directory", withSlash(name)));
    if (this.#options.whiteouts === "overlay" && getxattr(fdPath(fd), opaqueXattr)?.toString() === "y") {
      const marker = this.#marker(stat, join(name, Buffer.from(opaqueMarker)), stat.mode & 0o777);
      // Without a time, as moby's.
      this.#header({ ...marker, mtime: plain.mtime });
    }
    if (!isForeign) this.#children(fd, name);
  }

  #children(fd: number, name: Buffer): void {
    const directory = openat2(fd, ".", { flags: O_RDONLY | O_DIRECTORY });
    try {
      const children = [...readDirectory(directory)].map((entry) => entry.name).sort(Buffer.compare);
      for (const child of children) {
        const path = join(name, child);
        if (path.length < PATH_MAX) this.#child(directory, child, path);
      }
    } finally {
      closeSync(directory);
    }
  }

  #child(directory: number, child: Buffer, name: Buffer): void {
    const fd = openIfThere(directory, child, O_PATH | O_NOFOLLOW);
    if (fd === undefined) return;
    try {
      this.pack(fd, name);
    } finally {
      closeSync(fd);
    }
  }

  #leaf(fd: number, leaf: { stat: FileStat; type: EntryType; name: Buffer; isForeign: boolean }): void {
    const { stat, type, name } = leaf;
    const inode = `${stat.deviceMajor}:${stat.deviceMinor}:${stat.ino}`;
    const first = stat.nlink > 1 ? this.#seen.get(inode) : undefined;
    if (first !== undefined) {
      this.#header({ ...this.#entry(fd, stat, "link", name), linkname: first });
      return;
    }
    if (stat.nlink > 1) this.#seen.set(inode, name);
    if (type === "file") this.#file(fd, name, leaf.isForeign);
    else this.#header(this.#entry(fd, stat, type, name));
  }

  /** By /proc/self/fd: the very inode that was looked at, which cannot have become a device meanwhile. */
  #file(pathFd: number, name: Buffer, isForeign: boolean): void {
    const fd = openat2(-1, fdPath(pathFd), { flags: O_RDONLY | O_NONBLOCK });
    try {
      const stat = fstat(fd);
      const sizeBytes = isForeign ? 0 : stat.sizeBytes;
      this.#header({ ...this.#entry(pathFd, stat, "file", name), sizeBytes });
      this.#contents(fd, sizeBytes);
    } finally {
      closeSync(fd);
    }
  }

  /** Exactly as many bytes as the header says: a file that grows is cut, one that shrinks is filled up with zeros. */
  #contents(fd: number, sizeBytes: number): void {
    for (let left = sizeBytes; left > 0; ) {
      const wanted = Math.min(left, chunkBytes);
      const read = readSync(fd, this.#chunk, 0, wanted, null);
      const length = read === 0 ? wanted : read;
      if (read === 0) this.#chunk.fill(0, 0, wanted);
      this.#output(this.#chunk.subarray(0, length));
      left -= length;
    }
    this.#output(padding(sizeBytes));
  }

  #whiteout(stat: FileStat, name: Buffer): void {
    const cut = name.lastIndexOf(slash) + 1;
    const hidden = Buffer.concat([name.subarray(0, cut), Buffer.from(whiteoutPrefix), name.subarray(cut)]);
    this.#header(this.#marker(stat, hidden, 0o600));
  }

  #marker(stat: FileStat, name: Buffer, mode: number): TarEntry {
    const owner = this.#ownerOf(stat);
    const mtime = this.#options.times === "none" ? plain.mtime : { ...stat.mtime, nanoseconds: 0 };
    return { ...plain, ...owner, name, type: "file", mode, mtime };
  }

  #entry(fd: number, stat: FileStat, type: EntryType, name: Buffer): TarEntry {
    return {
      ...plain,
      ...this.#ownerOf(stat),
      name,
      type,
      linkname: type === "symlink" ? readlinkat(fd, "") : nothing,
      mode: stat.mode & 0o7777,
      mtime: this.#timeOf(stat),
      deviceMajor: type === "char" || type === "block" ? stat.rdevMajor : 0,
      deviceMinor: type === "char" || type === "block" ? stat.rdevMinor : 0,
      xattrs: type === "file" || type === "directory" ? this.#xattrs(fd) : plain.xattrs,
    };
  }

  #timeOf({ mtime }: FileStat): TarEntry["mtime"] {
    switch (this.#options.times) {
      case "nanoseconds":
        return mtime;
      case "none":
        return plain.mtime;
      default:
        return { ...mtime, nanoseconds: 0 };
    }
  }

  #ownerOf(stat: FileStat): Owner {
    const { idMappings, owner } = this.#options;
    const { uid, gid } = owner ?? stat;
    if (idMappings === undefined) return { uid, gid };
    return {
      uid: toContainer(idMappings.uids, uid) ?? overflowId,
      gid: toContainer(idMappings.gids, gid) ?? overflowId,
    };
  }

  #xattrs(fd: number): ReadonlyMap<string, Uint8Array> {
    const path = fdPath(fd);
    const names = listxattr(path)
      .map((name) => name.toString("utf8"))
      .sort();
    const isWanted = this.#options.xattrs === "all" ? isAllowedXattr : (name: string) => name === capability;
    const found = new Map<string, Uint8Array>();
    for (const name of names.filter(isWanted)) {
      const value = getxattr(path, name);
      if (value !== undefined) found.set(name, name === capability ? withoutNamespace(value) : value);
    }
    return found;
  }

  #header(entry: TarEntry): void {
    this.#output(encodeHeader(entry));
  }
}

const plain: Omit<TarEntry, "name" | "type" | "uid" | "gid"> = {
  linkname: nothing,
  mode: 0,
  sizeBytes: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  atime: undefined,
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: new Map(),
  sparse: undefined,
};

const capability = "security.capability";
const capabilityBytes = 20;

/** A file capability of version 3 belongs to one user namespace: without its root's id it is one of version 2, for all (moby). */
function withoutNamespace(value: Buffer): Buffer {
  if (value[3] !== 3) return value;
  const plainValue = Buffer.from(value.subarray(0, capabilityBytes));
  plainValue[3] = 2;
  return plainValue;
}

const isWhiteout = (stat: FileStat): boolean => isType(stat, S_IFCHR) && stat.rdevMajor === 0 && stat.rdevMinor === 0;

function join(directory: Buffer, name: Buffer): Buffer {
  return directory.length === 0 ? name : Buffer.concat([withSlash(directory), name]);
}

const withSlash = (name: Buffer): Buffer => (name.at(-1) === 0x2f ? name : Buffer.concat([name, slash]));

/** Undefined when it went away meanwhile: containers may run while they are packed. */
function openIfThere(directory: number, name: Uint8Array, flags: number): number | undefined {
  try {
    return openat2(directory, name, { flags });
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
