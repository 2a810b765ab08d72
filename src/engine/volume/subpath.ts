/**
 * A folder or file inside a volume, mounted where no container can exchange it: opened below the
 * volume without leaving it, then cloned from that descriptor to a place of the engine's own.
 */
import { closeSync } from "node:fs";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
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
  using undo = new DisposableStack();
  undo.defer(() => closeSync(root));
  try {
    return openat2(root, subpath, { flags: O_PATH | O_CLOEXEC, resolve: RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS });
  } catch (error) {
    const path = join(volume, subpath);
    if (errnoOf(error) === "ENOENT") {
      const message = `cannot access path ${path}: lstat ${path}: no such file or directory`;
      throw new EngineError("system", message, { cause: error });
    }
    if (errnoOf(error) !== "EXDEV") throw error;
    const message = `path concatenation escapes the base directory, base: ${volume}, subpath: ${subpath}`;
    throw new EngineError("system", message, { cause: error });
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
