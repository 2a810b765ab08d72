/** A fresh volume begins with what the image has at its place: files, owners, modes, extended attributes. */
import { closeSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { errnoOf } from "#base/errors";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  fchmodat,
  fchownat,
  fdPath,
  fstat,
  isDirectory,
  O_CLOEXEC,
  O_PATH,
  openat2,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
} from "#native";
import type { Storage } from "#storage";
import { openSubpath } from "./subpath.ts";

/** Copies `path` of the container's root into `subpath` of the volume ("" for all of it), if that is empty and the root has such a directory. */
export async function copyUp(
  archive: Pick<Storage["archive"], "copy">,
  rootFd: number,
  path: string,
  { volume, subpath }: { readonly volume: string; readonly subpath: string },
): Promise<void> {
  const source = openIn(rootFd, path);
  if (source === undefined) return;
  await using undo = new AsyncDisposableStack();
  undo.defer(() => closeSync(source));
  const found = fstat(source);
  if (!isDirectory(found)) return;
  const target = openSubpath(volume, subpath);
  undo.defer(() => closeSync(target));
  if (!isDirectory(fstat(target)) || (await readdir(fdPath(target))).length > 0) return;
  await archive.copy(source, ".", target, ".");
  fchownat(target, "", { uid: found.uid, gid: found.gid }, AT_EMPTY_PATH);
  // fchmodat takes no O_PATH descriptor, but the path through /proc is as exact (proc_pid_fd(5)).
  fchmodat(AT_FDCWD, fdPath(target), found.mode & 0o7777);
}

function openIn(rootFd: number, path: string): number | undefined {
  try {
    return openat2(rootFd, path, { flags: O_PATH | O_CLOEXEC, resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS });
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
}
