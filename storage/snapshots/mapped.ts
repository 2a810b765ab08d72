import { closeSync, mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, messageOf } from "#base/errors";
import { AT_FDCWD, MNT_DETACH, MS_PRIVATE, mapIds, moveMount, OPEN_TREE_CLONE, openTree, umount2 } from "#native";
import { mountDetached, type OverlayParts } from "./overlay.ts";

export interface MappedSnapshots {
  /** Those in it have a user namespace of these ids. */
  readonly userNamespace: string;
  readonly execRoot: string;
}

const probe: OverlayParts = { lower: ["empty/fs", "empty/probe"], upper: undefined };

/**
 * The snapshots' folder a second time, at a place of the engine's own, through an id-mapped mount: what is root's on the disk is
 * the container's root's there, and what that makes is root's on the disk. So one file system serves containers with a user
 * namespace and without, and a layer is what the image says (docs/decisions/0014). The caller disposes of it.
 */
export function mountMapped(
  snapshots: string,
  { userNamespace, execRoot }: MappedSnapshots,
): Disposable & { path: string } {
  const path = join(execRoot, "layers");
  const mounted = { path, [Symbol.dispose]: () => unmount(path) };
  mkdirSync(path, { recursive: true, mode: 0o700 });
  unmount(path);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  mkdirSync(join(snapshots, "empty/probe"), { recursive: true, mode: 0o755 });
  try {
    attach(snapshots, path, userNamespace);
    closeSync(mountDetached(probe, path, execRoot));
  } catch (error) {
    unmount(path);
    const needed = "overlayfs over id-mapped mounts, as Linux 5.19 and ext4, xfs or btrfs have";
    throw new Error(`--userns-remap needs ${needed}: ${messageOf(error)}`, { cause: error });
  }
  return mounted;
}

function attach(folder: string, path: string, userNamespace: string): void {
  const tree = openTree(AT_FDCWD, folder, OPEN_TREE_CLONE);
  try {
    mapIds(tree, userNamespace, MS_PRIVATE);
    moveMount(tree, AT_FDCWD, path);
  } finally {
    closeSync(tree);
  }
}

/** Overlays that were mounted through it keep what they need. */
function unmount(path: string): void {
  try {
    for (;;) umount2(path, MNT_DETACH);
  } catch (error) {
    // EINVAL: nothing is mounted there any more.
    if (errnoOf(error) !== "EINVAL") throw error;
  }
  rmdirSync(path);
}
