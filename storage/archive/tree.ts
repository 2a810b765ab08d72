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
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  readDirectory,
  statx,
  unlinkat,
} from "#native";
import { type BytePath, toBytes } from "./paths.ts";

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
    const parent = this.#ensure(slash === -1 ? "" : path.slice(0, slash));
    try {
      return makeImplied(parent, toBytes(path.slice(slash + 1)));
    } catch (error) {
      // What is there and yet was not found is a link to nothing.
      throw errnoOf(error) === "EEXIST" ? missing : error;
    } finally {
      closeSync(parent);
    }
  }
}

function makeImplied(parentFd: number, name: Buffer): number {
  mkdirat(parentFd, name, 0o700);
  const fd = openat2(parentFd, name, { flags: O_PATH | O_DIRECTORY | O_NOFOLLOW });
  // Not left to the umask of whoever started the daemon.
  fchmodat(fd, fdPath(fd), impliedMode);
  return fd;
}

/** How long one call may take: until `performance.now()` says so. */
export interface Allowance {
  readonly until: number;
}

/**
 * Removes what `name` is, whatever it is, without ever following a link. Missing is fine. False: the allowance has run out
 * and something is left.
 */
export function removeTree(parentFd: number, name: Uint8Array, allowance: Allowance = { until: Infinity }): boolean {
  if (performance.now() > allowance.until) return false;
  try {
    unlinkat(parentFd, name);
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT") return true;
    if (code !== "EISDIR" && code !== "EPERM") throw error;
    if (!isDirectory(statx(parentFd, name))) throw error;
    if (!emptyDirectory(parentFd, name, allowance)) return false;
    unlinkat(parentFd, name, AT_REMOVEDIR);
  }
  return true;
}

function emptyDirectory(parentFd: number, name: Uint8Array, allowance: Allowance): boolean {
  const fd = openat2(parentFd, name, { flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW });
  try {
    // Read to the end first: a directory that changes under getdents may skip entries.
    return [...readDirectory(fd)].every((entry) => removeTree(fd, entry.name, allowance));
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
