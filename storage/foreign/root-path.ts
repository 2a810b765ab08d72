import { closeSync } from "node:fs";
import { errnoOf } from "#base/errors";
import {
  type FileStat,
  fstat,
  isDirectory,
  isType,
  O_NOFOLLOW,
  O_PATH,
  openat2,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  readlinkat,
  S_IFLNK,
} from "#native";

/** What a path in a container leads to. The texts are for messages and checks: work on files goes through descriptors. */
export interface Found {
  /** Absolute, without links, dots or doubled slashes. */
  readonly path: string;
  /** undefined: the last part does not exist. */
  readonly stat: FileStat | undefined;
}

export class PathError extends Error {
  readonly code: string;
  constructor(code: string, message = code) {
    super(message);
    this.code = code;
  }
}

const maxLinks = 255;

/** lstat(2) below a root: nothing outside of it is looked at, whatever links lie on the way. A trailing slash follows the last one. */
export function lstatBelow(rootFd: number, path: string): FileStat {
  const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const fd = openat2(rootFd, path, { flags: O_PATH | O_NOFOLLOW, resolve });
  try {
    return fstat(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Follows every link of `path`. What is missing ends the walk: with `allowsMissing` its name stays in the answer as it was
 * asked for (moby's FollowSymlinkInScope), otherwise it fails with ENOENT (Go's EvalSymlinks).
 */
export function followLinks(rootFd: number, path: string, options: { readonly allowsMissing: boolean }): Found {
  const waiting = path.split("/").reverse();
  let links = 0;
  let found: Found = { path: "/", stat: lstatBelow(rootFd, "/") };
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    if (part === "" || part === ".") continue;
    if (found.stat !== undefined && !isDirectory(found.stat)) throw new PathError("ENOTDIR");
    const next = part === ".." ? parent(found.path) : child(found.path, part);
    const stat = lstatIfThere(rootFd, next, options.allowsMissing);
    if (stat === undefined || !isType(stat, S_IFLNK)) {
      found = { path: next, stat };
      continue;
    }
    if (++links > maxLinks) throw new PathError("ELOOP", tooManyLinks(path, options));
    const target = linkTarget(rootFd, next);
    if (target.startsWith("/")) found = { path: "/", stat: undefined };
    waiting.push(...target.split("/").reverse());
  }
  return found;
}

const tooManyLinks = (path: string, { allowsMissing }: { readonly allowsMissing: boolean }): string =>
  allowsMissing ? `evalSymlinksInScope: too many links in ${path}` : "EvalSymlinks: too many links";

const child = (path: string, name: string): string => (path === "/" ? `/${name}` : `${path}/${name}`);
const parent = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

function lstatIfThere(rootFd: number, path: string, allowsMissing: boolean): FileStat | undefined {
  try {
    return lstatBelow(rootFd, path);
  } catch (error) {
    if (allowsMissing && errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function linkTarget(rootFd: number, path: string): string {
  const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const fd = openat2(rootFd, path, { flags: O_PATH | O_NOFOLLOW, resolve });
  try {
    return readlinkat(fd, "").toString();
  } finally {
    closeSync(fd);
  }
}
