/** A folder or file inside a volume, mounted at a place of the engine's own, where no container can exchange it. */
import { closeSync } from "node:fs";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "#base/errors";
import { AT_FDCWD, MNT_DETACH, moveMount, umount2 } from "#native";
import type { ForeignFiles } from "#storage";

export interface Subpath {
  readonly volume: string;
  readonly subpath: string;
}

/** Mounts it at `<directory>/<number>` and returns that path; all of a volume stays where it is. */
export async function mountSubpath(
  foreign: Pick<ForeignFiles, "clone">,
  { volume, subpath }: Subpath,
  directory: string,
): Promise<string> {
  if (subpath === "") return volume;
  const { fd, isDirectory } = await foreign.clone(volume, { subpath, isRecursive: false });
  using undo = new DisposableStack();
  undo.defer(() => closeSync(fd));
  const target = await makeTarget(directory, isDirectory);
  moveMount(fd, AT_FDCWD, target);
  return target;
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
