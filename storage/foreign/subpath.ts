/**
 * A folder or file inside a volume, mounted where no container can exchange it: opened below the
 * volume without leaving it, then cloned from that descriptor to a place of the engine's own.
 */
import { closeSync, realpathSync } from "node:fs";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { EngineError, errnoOf } from "#base/errors";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  fstat,
  isDirectory,
  MNT_DETACH,
  moveMount,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  OPEN_TREE_CLONE,
  openat2,
  openTree,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  umount2,
} from "#native";

/** Mounts `subpath` of the folder `volume` at `<directory>/<number>` and returns that path. */
export async function mountSubpath(volume: string, subpath: string, directory: string): Promise<string> {
  using undo = new DisposableStack();
  const owned = (fd: number): number => {
    undo.defer(() => closeSync(fd));
    return fd;
  };
  const fd = owned(openSubpath(volume, subpath));
  const target = await makeTarget(directory, isDirectory(fstat(fd)));
  moveMount(owned(openTree(fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH)), AT_FDCWD, target);
  return target;
}

/** A descriptor (O_PATH) of what lies at `subpath`, never outside of the volume; "" is the volume itself. Throws in moby's words. */
export function openSubpath(volume: string, subpath: string): number {
  const root = openat2(AT_FDCWD, volume, { flags: O_PATH | O_DIRECTORY | O_CLOEXEC });
  if (subpath === "") return root;
  try {
    return openBelow(root, volume, subpath);
  } finally {
    closeSync(root);
  }
}

function openBelow(root: number, volume: string, subpath: string): number {
  const open = (path: string): number =>
    openat2(root, path, { flags: O_PATH | O_CLOEXEC, resolve: RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS });
  try {
    return open(subpath);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT" && errnoOf(error) !== "EXDEV") throw error;
  }
  // The kernel calls an absolute link an escape even where it leads back into the volume.
  const inside = relative(realPath(volume, ""), realPath(volume, subpath)) || ".";
  try {
    return open(inside);
  } catch (error) {
    if (errnoOf(error) !== "EXDEV") throw error;
    const message = `path concatenation escapes the base directory, base: ${volume}, subpath: ${subpath}`;
    throw new EngineError("system", message, { cause: error });
  }
}

/** Names the part that is missing. */
function realPath(volume: string, subpath: string): string {
  const path = join(volume, subpath);
  try {
    return realpathSync(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    const missing = error instanceof Error && "path" in error ? error.path : path;
    const message = `cannot access path ${path}: lstat ${missing}: no such file or directory`;
    throw new EngineError("notFound", message, { cause: error });
  }
}

async function makeTarget(directory: string, isFolder: boolean): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const target = join(directory, String((await readdir(directory)).length));
  if (isFolder) await mkdir(target);
  else await writeFile(target, "");
  return target;
}

/** Undoes every `mountSubpath` into this folder. Idempotent. */
export async function unmountSubpaths(directory: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch {
    return;
  }
  for (const name of names) {
    try {
      umount2(join(directory, name), MNT_DETACH);
    } catch (error) {
      if (errnoOf(error) !== "EINVAL") throw error;
    }
  }
  await rm(directory, { recursive: true, force: true });
}
