/** A fresh volume begins with what the image has at its place: files, owners, modes, extended attributes. */
import { closeSync } from "node:fs";
import { EngineError, errnoOf } from "#base/errors";
import { fstat, isDirectory, O_CLOEXEC, O_PATH, openat2, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS } from "#native";
import type { Storage } from "#storage";
import type { UserRemap } from "../user-remap.ts";
import { mapTree } from "./map-tree.ts";
import type { Subpath } from "./subpath.ts";

export interface CopyUpTarget extends Subpath {
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
  {
    foreign,
    archive,
  }: { readonly foreign: Pick<Storage["foreign"], "clone">; readonly archive: Pick<Storage["archive"], "populate"> },
  source: number,
  { volume, subpath, remap }: CopyUpTarget,
): Promise<void> {
  const tree = await foreign.clone(volume, { subpath, isRecursive: false });
  const target = remap === undefined ? tree.fd : mapTree(tree.fd, remap);
  using undo = new DisposableStack();
  undo.defer(() => closeSync(target));
  if (tree.isDirectory) await archive.populate(target, source);
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
