/** A fresh volume begins with what the image has at its place: files, owners, modes, extended attributes. */
import { closeSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { EngineError, errnoOf } from "#base/errors";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  fchmodat,
  fchownat,
  fdPath,
  fstat,
  getxattr,
  isDirectory,
  listxattr,
  O_CLOEXEC,
  O_PATH,
  OPEN_TREE_CLONE,
  openat2,
  openTree,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  setxattr,
} from "#native";
import { applyXattr, isAllowedXattr, type Storage } from "#storage";
import type { UserRemap } from "../user-remap.ts";
import { mapTree } from "./map-tree.ts";
import { openSubpath } from "./subpath.ts";

export interface CopyUpTarget {
  readonly volume: string;
  /** "" for all of the volume. */
  readonly subpath: string;
  /** The copy is of the container's ids, as the host calls them. */
  readonly remap: UserRemap | undefined;
}

/** A descriptor of the directory at `path` of the container's root; undefined: there is nothing to begin with. Throws in moby's words. */
export function openImageDirectory(rootFd: number, path: string): number | undefined {
  const source = openIn(rootFd, path);
  if (source === undefined || isDirectory(fstat(source))) return source;
  closeSync(source);
  throw new EngineError("system", `source ${path} is not directory`);
}

/** Copies the directory `source` into the target, if that is an empty one. */
export async function copyUp(
  archive: Pick<Storage["archive"], "copy">,
  source: number,
  { volume, subpath, remap }: CopyUpTarget,
): Promise<void> {
  await using undo = new AsyncDisposableStack();
  const folder = openSubpath(volume, subpath);
  undo.defer(() => closeSync(folder));
  const target = remap === undefined ? folder : mapTree(openTree(folder, "", OPEN_TREE_CLONE | AT_EMPTY_PATH), remap);
  if (target !== folder) undo.defer(() => closeSync(target));
  if (!isDirectory(fstat(target)) || (await readdir(fdPath(target))).length > 0) return;
  await archive.copy(source, ".", target, ".");
  copyAttributes(source, target);
}

/** Of the directory itself. */
function copyAttributes(source: number, target: number): void {
  const found = fstat(source);
  const [from, to] = [fdPath(source), fdPath(target)];
  fchownat(target, "", { uid: found.uid, gid: found.gid }, AT_EMPTY_PATH);
  // fchmodat takes no O_PATH descriptor, but the path through /proc is as exact (proc_pid_fd(5)).
  fchmodat(AT_FDCWD, to, found.mode & 0o7777);
  for (const name of listxattr(from).filter((bytes) => isAllowedXattr(bytes.toString()))) {
    const value = getxattr(from, name);
    if (value !== undefined) applyXattr(name.toString(), () => setxattr(to, name, value));
  }
}

function openIn(rootFd: number, path: string): number | undefined {
  try {
    return openat2(rootFd, path, { flags: O_PATH | O_CLOEXEC, resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS });
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT") return undefined;
    const refused = (message: string): EngineError => new EngineError("system", message, { cause: error });
    if (code === "ENOTDIR") throw refused(`lstat ${path}: not a directory`);
    if (code === "ELOOP") throw refused(`evalSymlinksInScope: too many links in ${path}`);
    throw error;
  }
}
