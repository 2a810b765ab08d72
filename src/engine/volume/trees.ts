/** A container's mounts as detached trees, for a view of its root while nothing runs in it: they show nowhere on the host. */
import { closeSync } from "node:fs";
import { errnoOf } from "#base/errors";
import { AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, fdPath, OPEN_TREE_CLONE, openTree } from "#native";
import type { ContainerRecord, MountRecord, Storage } from "#storage";
import type { UserRemap } from "../user-remap.ts";
import { mapTree } from "./map-tree.ts";
import { openSubpath } from "./subpath.ts";

export interface MountTree {
  /** Owned by whoever opened it; it may be mounted once. */
  readonly fd: number;
  readonly destination: string;
  readonly isReadOnly: boolean;
}

type Views = Pick<Storage["snapshots"], "mountView">;

interface MountingContainer extends Pick<ContainerRecord, "id" | "mounts"> {
  readonly remap: UserRemap | undefined;
}

/** A bind whose source is gone is left out: only a start makes it anew. */
export async function openTrees(views: Views, { id, mounts, remap }: MountingContainer) {
  await using undo = new AsyncDisposableStack();
  const trees: MountTree[] = [];
  for (const mount of mounts) {
    const isImage = mount.type === "image";
    const opened = isImage ? await openImage(views, id, mount) : openFolder(mount);
    if (opened === undefined) continue;
    const fd = remap === undefined || isImage ? opened : mapTree(opened, remap);
    undo.defer(() => closeSync(fd));
    trees.push({ fd, destination: mount.destination, isReadOnly: !mount.rw });
  }
  const open = undo.move();
  return { trees, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

async function openImage(views: Views, id: ContainerRecord["id"], mount: MountRecord): Promise<number> {
  await using view = await views.mountView(id, mount.destination);
  return cloneBelow(fdPath(view.rootFd), subpathOf(mount));
}

function openFolder(mount: MountRecord): number | undefined {
  if (mount.type === "tmpfs") return undefined;
  if (mount.type === "volume") return cloneBelow(mount.source, subpathOf(mount));
  try {
    return openTree(AT_FDCWD, mount.source, OPEN_TREE_CLONE | AT_RECURSIVE);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

function cloneBelow(root: string, subpath: string): number {
  const fd = openSubpath(root, subpath);
  try {
    return openTree(fd, "", OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH);
  } finally {
    closeSync(fd);
  }
}

export function subpathOf({ type, spec }: MountRecord): string {
  if (type === "image") return spec?.ImageOptions?.Subpath ?? "";
  return type === "volume" ? (spec?.VolumeOptions?.Subpath ?? "") : "";
}
