/*
 * The order for one entry: find its directory (a descriptor), remove what stands in the way, create it without following
 * anything, write the bytes, then owner, xattrs, mode, times. Directories get their times again at the end, because every
 * entry made in them changes these.
 */
import { closeSync, ftruncateSync, writeSync } from "node:fs";
import { errnoOf } from "#base/errors";
import { type IdMapping, type IdMappings, toHost } from "#base/id-mappings";
import {
  AT_FDCWD,
  fdPath,
  isDirectory,
  isType,
  linkat,
  makeDevice,
  mkdirat,
  mknodat,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_WRONLY,
  type Owner,
  openat2,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFLNK,
  statx,
  symlinkat,
  utimensat,
} from "#native";
import { type SparseMap, type TarEntry, TarError } from "../tar/entry.ts";
import type { TarSink } from "../tar/reader.ts";
import { accessTime, applyToFile, applyToNode, applyToSymlink, modificationTime } from "./attributes.ts";
import type { Budget } from "./budget.ts";
import { BreakoutError, LimitError, PlaceError, XattrError } from "./failure.ts";
import { type BytePath, displayPlace, joinPlace, type Place, placeOf, toBytes } from "./paths.ts";
import { ifThere, openInRoot, RootedTree, removeTree } from "./tree.ts";

export interface PlacerOptions {
  readonly rootFd: number;
  readonly budget?: Budget;
  readonly noOverwriteDirNonDir?: boolean;
  readonly owner?: Owner;
  readonly idMappings?: IdMappings;
  /** Sees every entry first; true: it has dealt with it. */
  readonly intercept?: (tree: RootedTree, place: Place) => boolean;
}

interface OpenFile {
  readonly fd: number;
  readonly entry: TarEntry;
  readonly place: Place;
  /** Where the next byte goes. */
  position: number;
  /** Of a sparse file: the fragment that is being filled. */
  fragment: number;
  filled: number;
}

/** Puts a tar's entries into a directory. Dispose of it in any case; after an error nothing more may be fed. */
export class Placer implements TarSink, Disposable {
  /** Bytes of files and of symlinks' targets; wrong when something was replaced. */
  contentBytes = 0;
  /** An entry took the place of an earlier one. */
  hasReplaced = false;
  readonly #options: PlacerOptions;
  readonly #tree: RootedTree;
  readonly #directories = new Map<BytePath, TarEntry>();
  #file: OpenFile | undefined;

  constructor(options: PlacerOptions) {
    this.#options = options;
    // One entry may name a path of two thousand directories.
    this.#tree = new RootedTree(options.rootFd, () => options.budget?.countEntry());
  }

  entry(entry: TarEntry): void {
    this.#options.budget?.countEntry();
    const place = placeOf(entry.name);
    try {
      // The root is not the archive's, whatever it calls itself: moby leaves it alone too.
      if (place.base === "") return;
      if (this.#options.intercept?.(this.#tree, place) !== true) this.#place(entry, place);
    } catch (error) {
      throw worded(operations[entry.type], () => namesOf(entry, place), error);
    }
  }

  data(chunk: Buffer): void {
    const file = this.#file;
    if (file === undefined) return;
    try {
      this.#options.budget?.countBytes(chunk.length);
      writeFile(file, chunk);
    } catch (error) {
      throw worded("write", () => displayPlace(file.place), error);
    }
  }

  entryEnd(): void {
    const file = this.#file;
    if (file === undefined) return;
    try {
      if (file.entry.sparse !== undefined) ftruncateSync(file.fd, file.entry.sparse.realSizeBytes);
      applyToFile(file.fd, file.entry, this.#ownerOf(file.entry));
    } catch (error) {
      throw worded("lchown", () => displayPlace(file.place), error);
    }
    this.#file = undefined;
    closeSync(file.fd);
  }

  /** All entries have come: puts the directories' times right. */
  finish(): void {
    // A later entry may have taken its place.
    for (const [path, entry] of this.#directories) ifThere(() => this.#applyTimes(path, entry), undefined);
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file.fd);
    this.#file = undefined;
    this.#tree[Symbol.dispose]();
  }

  #place(entry: TarEntry, place: Place): void {
    const parent = this.#tree.directory(place.parent);
    const name = toBytes(place.base);
    const owner = this.#ownerOf(entry);
    if (entry.type === "directory") {
      this.#makeDirectory(parent, name, entry);
      this.#directories.set(joinPlace(place), entry);
    } else {
      this.#clearing(parent, name, entry, () => this.#create(parent, name, entry, place));
    }
    if (isSymlink(parent, name, entry)) applyToSymlink(parent, name, entry, owner);
    // A file gets its own when its bytes have come.
    else if (entry.type !== "file") applyToNode(parent, name, entry, owner);
  }

  /** Tries first and looks second: in nearly every archive nothing is in the way. */
  #clearing(parent: number, name: Buffer, entry: TarEntry, create: () => void): void {
    try {
      create();
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
      const isReplacingDirectory = isDirectory(statx(parent, name));
      if (this.#options.noOverwriteDirNonDir === true && isReplacingDirectory)
        throw new OverwriteError("EISDIR", entry);
      this.#remove(parent, name);
      create();
    }
  }

  #remove(parent: number, name: Buffer): void {
    removeTree(parent, name);
    this.#tree.invalidate();
    this.hasReplaced = true;
  }

  #create(parent: number, name: Buffer, entry: TarEntry, place: Place): void {
    switch (entry.type) {
      case "file":
        this.#openFile(parent, name, entry, place);
        break;
      case "symlink":
        symlinkat(entry.linkname, parent, name);
        this.contentBytes += entry.linkname.length;
        break;
      case "link":
        this.#link(parent, name, entry);
        break;
      case "char":
        mknodat(parent, name, S_IFCHR | 0o600, makeDevice(entry.deviceMajor, entry.deviceMinor));
        break;
      case "block":
        mknodat(parent, name, S_IFBLK | 0o600, makeDevice(entry.deviceMajor, entry.deviceMinor));
        break;
      case "fifo":
        mknodat(parent, name, S_IFIFO | 0o600, 0n);
        break;
      case "directory":
        break;
      default:
        entry.type satisfies never;
    }
  }

  #openFile(parent: number, name: Buffer, entry: TarEntry, place: Place): void {
    const fd = openat2(parent, name, { flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600 });
    this.#file = { fd, entry, place, position: 0, fragment: 0, filled: 0 };
    this.contentBytes += entry.sparse?.realSizeBytes ?? entry.sizeBytes;
  }

  /** The target is looked up in the root like any entry; linkat itself follows nothing. */
  #link(parent: number, name: Buffer, entry: TarEntry): void {
    const target = placeOf(entry.linkname, "hardlink target");
    const fd = openInRoot(this.#options.rootFd, toBytes(target.parent), O_PATH | O_DIRECTORY);
    try {
      linkat(fd, toBytes(target.base), parent, name);
    } finally {
      closeSync(fd);
    }
  }

  #makeDirectory(parent: number, name: Buffer, entry: TarEntry): void {
    try {
      mkdirat(parent, name, 0o700);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
      if (isDirectory(statx(parent, name))) return;
      if (this.#options.noOverwriteDirNonDir === true) throw new OverwriteError("ENOTDIR", entry);
      this.#remove(parent, name);
      mkdirat(parent, name, 0o700);
    }
  }

  #applyTimes(path: BytePath, entry: TarEntry): void {
    const fd = openInRoot(this.#options.rootFd, toBytes(path), O_PATH | O_DIRECTORY | O_NOFOLLOW);
    try {
      utimensat(AT_FDCWD, fdPath(fd), accessTime(entry), modificationTime(entry), 0);
    } finally {
      closeSync(fd);
    }
  }

  #ownerOf(entry: TarEntry): Owner {
    const { owner = entry, idMappings } = this.#options;
    if (idMappings === undefined) return owner;
    return { uid: hostId(idMappings.uids, owner.uid), gid: hostId(idMappings.gids, owner.gid) };
  }
}

function hostId(ranges: readonly IdMapping[], id: number): number {
  const host = toHost(ranges, id);
  if (host === undefined) throw new Error(`Container ID ${id} cannot be mapped to a host ID`);
  return host;
}

/** A hard link gives its attributes to what it is another name of, as in moby: that may be a symlink. */
const isSymlink = (parent: number, name: Buffer, { type }: TarEntry): boolean =>
  type === "symlink" || (type === "link" && isType(statx(parent, name), S_IFLNK));

/** What Go calls the step that failed. */
const operations = {
  file: "open",
  directory: "mkdir",
  symlink: "symlink",
  link: "link",
  char: "mknod",
  block: "mknod",
  fifo: "mkfifo",
} as const;

/** moby's NoOverwriteDirNonDir. `code` says what stands there, `path` is the entry's name as in the archive. */
export class OverwriteError extends Error {
  readonly code: "EISDIR" | "ENOTDIR";
  readonly path: string;
  constructor(code: "EISDIR" | "ENOTDIR", entry: TarEntry) {
    const [what, by] = code === "EISDIR" ? ["directory", "non-directory"] : ["non-directory", "directory"];
    const path = Buffer.from(entry.name).toString("utf8");
    super(`cannot overwrite ${what} ${JSON.stringify(path)} with ${by}`);
    this.name = "OverwriteError";
    this.code = code;
    this.path = path;
  }
}

/** Of a link both, as Go's os.LinkError. */
function namesOf(entry: TarEntry, place: Place): string {
  if (entry.type === "symlink") return `${Buffer.from(entry.linkname).toString("utf8")} ${displayPlace(place)}`;
  return entry.type === "link"
    ? `${displayPlace(placeOf(entry.linkname))} ${displayPlace(place)}`
    : displayPlace(place);
}

function worded(operation: string, names: () => string, error: unknown): unknown {
  const code = errnoOf(error);
  const isWorded = [BreakoutError, PlaceError, TarError, OverwriteError, LimitError].some(
    (type) => error instanceof type,
  );
  if (code === undefined || isWorded) return error;
  return new PlaceError(error instanceof XattrError ? "lsetxattr" : operation, names(), code, error);
}

function writeFile(file: OpenFile, chunk: Buffer): void {
  if (file.entry.sparse === undefined) writeAt(file, chunk);
  else writeSparse(file, file.entry.sparse, chunk);
}

function writeAt(file: OpenFile, chunk: Buffer): void {
  for (let at = 0; at < chunk.length; ) {
    const written = writeSync(file.fd, chunk, at, chunk.length - at, file.position);
    at += written;
    file.position += written;
  }
}

function writeSparse(file: OpenFile, sparse: SparseMap, chunk: Buffer): void {
  for (let at = 0; at < chunk.length; ) {
    const fragment = sparse.fragments[file.fragment];
    if (fragment === undefined) throw new TarError("archive/tar: invalid tar header");
    const part = chunk.subarray(at, at + fragment.length - file.filled);
    file.position = fragment.offset + file.filled;
    writeAt(file, part);
    at += part.length;
    file.filled += part.length;
    if (file.filled < fragment.length) continue;
    file.fragment++;
    file.filled = 0;
  }
}
