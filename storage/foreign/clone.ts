import { closeSync } from "node:fs";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  AT_STATX_DONT_SYNC,
  isDirectory,
  O_PATH,
  OPEN_TREE_CLONE,
  openat2,
  openTree,
  RESOLVE_CACHED,
  statx,
} from "#native";
import type { JobOf } from "../workers/jobs.ts";
import { openSubpath } from "./subpath.ts";

/** A folder or file of the host as a detached tree, owned by the caller. */
export interface Tree {
  readonly fd: number;
  readonly isDirectory: boolean;
}

export function cloneTree({ source, subpath, isRecursive }: JobOf<"clone">): Tree {
  const found = subpath === undefined ? openat2(AT_FDCWD, source, { flags: O_PATH }) : openSubpath(source, subpath);
  return cloneOf(found, isRecursive);
}

/** Undefined where the kernel would have to ask the file system. */
export function cloneCached(source: string, isRecursive: boolean): Tree | undefined {
  const found = openCached(source);
  return found === undefined ? undefined : cloneOf(found, isRecursive);
}

export function openCached(path: string): number | undefined {
  try {
    return openat2(AT_FDCWD, path, { flags: O_PATH, resolve: RESOLVE_CACHED });
  } catch {
    return undefined;
  }
}

/** Consumes the descriptor. Neither call asks the file system. */
function cloneOf(found: number, isRecursive: boolean): Tree {
  try {
    const stat = statx(found, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC);
    const flags = OPEN_TREE_CLONE | AT_EMPTY_PATH | (isRecursive ? AT_RECURSIVE : 0);
    return { fd: openTree(found, "", flags), isDirectory: isDirectory(stat) };
  } finally {
    closeSync(found);
  }
}
