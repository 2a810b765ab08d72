import { randomUUID } from "node:crypto";
import { closeSync } from "node:fs";
import { errnoOf } from "#base/errors";
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  fchmodat,
  fdPath,
  isDirectory,
  mkdirat,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  openat2,
  type PathBytes,
  RENAME_NOREPLACE,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  readDirectory,
  readlinkat,
  renameat2,
  statx,
  unlinkat,
} from "#native";
import { type BytePath, toBytePath, toBytes } from "./paths.ts";

const inRoot = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
/** Directories that an archive implies and does not name (moby: ImpliedDirectoryMode). */
const impliedMode = 0o755;

/** Opens a path below `rootFd` as a process whose root that is would see it. The caller owns the fd. */
export function openInRoot(rootFd: number, path: PathBytes, flags: number): number {
  return openat2(rootFd, path.length === 0 ? "." : path, { flags, resolve: inRoot });
}

/**
 * Finds the directories of entries below one root. A path is resolved once, to a descriptor; what is done with the entry is
 * done by that descriptor and a name without slashes.
 */
export class RootedTree implements Disposable {
  readonly rootFd: number;
  readonly #onMade: () => void;
  #isStale = false;
  #cached: { readonly path: BytePath; readonly fd: number } | undefined;

  /** `rootFd` stays the caller's. `onMade` hears of every directory that is made because it is missing. */
  constructor(rootFd: number, onMade: () => void = () => undefined) {
    this.rootFd = rootFd;
    this.#onMade = onMade;
  }

  /** The directory `path`, made with its parents where it is missing. The descriptor (O_PATH) is valid until the next call. */
  directory(path: BytePath): number {
    // Entries of one directory stand together in nearly every archive.
    if (this.#cached?.path === path && !this.#isStale) return this.#cached.fd;
    const fd = this.#ensure(path);
    this.#close();
    this.#cached = { path, fd };
    return fd;
  }

  /** Something that was there has been removed: it may have been on the way. The last descriptor stays valid until the next call. */
  invalidate(): void {
    this.#isStale = true;
  }

  [Symbol.dispose](): void {
    this.#close();
  }

  #close(): void {
    if (this.#cached !== undefined) closeSync(this.#cached.fd);
    this.#cached = undefined;
    this.#isStale = false;
  }

  #ensure(path: BytePath): number {
    try {
      return openInRoot(this.rootFd, toBytes(path), O_PATH | O_DIRECTORY);
    } catch (missing) {
      if (errnoOf(missing) !== "ENOENT" || path === "") throw missing;
      return this.#make(path, missing);
    }
  }

  #make(path: BytePath, missing: unknown): number {
    this.#onMade();
    const slash = path.lastIndexOf("/");
    const parentPath = slash === -1 ? "" : path.slice(0, slash);
    const name = toBytes(path.slice(slash + 1));
    const parent = this.#ensure(parentPath);
    try {
      return makeImplied(parent, name);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
      // What is there and yet was not found is a link to nothing: what it names is made below the root.
      return this.#ensure(linkedPath(parent, parentPath, name, missing));
    } finally {
      closeSync(parent);
    }
  }
}

function linkedPath(parentFd: number, parent: BytePath, name: Buffer, missing: unknown): BytePath {
  const target = toBytePath(readlinkat(parentFd, name));
  const parts = (target.startsWith("/") ? target : `${parent}/${target}`)
    .split("/")
    .filter((part) => part !== "" && part !== ".");
  // A name that ends in `..` cannot be made.
  if (parts.at(-1) === "..") throw missing;
  return parts.join("/");
}

function makeImplied(parentFd: number, name: Buffer): number {
  mkdirat(parentFd, name, 0o700);
  const fd = openat2(parentFd, name, { flags: O_PATH | O_DIRECTORY | O_NOFOLLOW });
  // Not left to the umask of whoever started the daemon.
  fchmodat(fd, fdPath(fd), impliedMode);
  return fd;
}

/** What a walk finds, or `otherwise`: the container that it walks in may run, or be removed. */
export function ifThere<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(errnoOf(error) ?? "")) return otherwise;
    throw error;
  }
}

/** How long one call may take: until `performance.now()` says so. */
export interface Allowance {
  readonly until: number;
}

/** Each level of a removal holds a descriptor, and a container may nest as deep as it likes: what is deeper is moved up first. */
const maxDepth = 512;

interface Removal extends Allowance {
  /** The directory that is removed as a whole, once it is open. */
  topFd?: number;
  /** Something has been moved up into it: it is to be emptied once more. */
  hasMoved: boolean;
}

/**
 * Removes what `name` is, whatever it is, without ever following a link. Missing is fine. False: the allowance has run out
 * and something is left.
 */
export function removeTree(parentFd: number, name: Uint8Array, allowance: Allowance = { until: Infinity }): boolean {
  for (;;) {
    const removal = { ...allowance, hasMoved: false };
    if (!remove(parentFd, name, removal, 0)) return false;
    if (!removal.hasMoved) return true;
  }
}

function remove(parentFd: number, name: Uint8Array, removal: Removal, depth: number): boolean {
  if (performance.now() > removal.until) return false;
  try {
    unlinkat(parentFd, name);
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT") return true;
    if (code !== "EISDIR" && code !== "EPERM") throw error;
    if (!isDirectory(statx(parentFd, name))) throw error;
    if (depth > maxDepth) return moveUp(parentFd, name, removal);
    if (!emptyDirectory(parentFd, name, removal, depth)) return false;
    if (depth > 0 || !removal.hasMoved) unlinkat(parentFd, name, AT_REMOVEDIR);
  }
  return true;
}

function moveUp(parentFd: number, name: Uint8Array, removal: Removal): true {
  renameat2(parentFd, name, removal.topFd ?? parentFd, `.${randomUUID()}`, RENAME_NOREPLACE);
  removal.hasMoved = true;
  return true;
}

function emptyDirectory(parentFd: number, name: Uint8Array, removal: Removal, depth: number): boolean {
  const fd = openat2(parentFd, name, { flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW });
  try {
    removal.topFd ??= fd;
    // Read to the end first: a directory that changes under getdents may skip entries.
    return [...readDirectory(fd)].every((entry) => remove(fd, entry.name, removal, depth + 1));
  } finally {
    closeSync(fd);
  }
}

/** Removes the tree at an absolute path of ours. */
export function removeDirectory(directory: string, allowance?: Allowance): boolean {
  const cut = directory.lastIndexOf("/");
  const parent = openat2(AT_FDCWD, directory.slice(0, cut), { flags: O_PATH | O_DIRECTORY });
  try {
    return removeTree(parent, Buffer.from(directory.slice(cut + 1)), allowance);
  } finally {
    closeSync(parent);
  }
}
