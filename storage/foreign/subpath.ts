import { closeSync, realpathSync } from "node:fs";
import { join, relative } from "node:path";
import { EngineError, errnoOf } from "#base/errors";
import { AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_PATH, openat2, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS } from "#native";

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
