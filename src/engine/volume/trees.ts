/** A container's mounts as detached trees, for a view of its root while nothing runs in it: they show nowhere on the host. */
import { closeSync } from "node:fs";
import { errnoOf } from "#base/errors";
import { fdPath } from "#native";
import type { ContainerRecord, MountRecord, MountTree, Storage } from "#storage";
import type { UserRemap } from "../user-remap.ts";
import { mapTree } from "./map-tree.ts";

interface Disks {
  readonly foreign: Pick<Storage["foreign"], "clone">;
  readonly snapshots: Pick<Storage["snapshots"], "mountView">;
}

interface MountingContainer extends Pick<ContainerRecord, "id" | "mounts"> {
  readonly remap: UserRemap | undefined;
}

/** They are the caller's. A bind whose source is gone is left out: only a start makes it anew. */
export async function openTrees(disks: Disks, { id, mounts, remap }: MountingContainer) {
  await using undo = new AsyncDisposableStack();
  const trees: MountTree[] = [];
  for (const mount of mounts) {
    const isImage = mount.type === "image";
    const opened = isImage ? await openImage(disks, id, mount) : await openFolder(disks, mount);
    if (opened === undefined) continue;
    const fd = remap === undefined || isImage ? opened : mapTree(opened, remap);
    undo.defer(() => closeSync(fd));
    trees.push({ fd, destination: mount.destination, isReadOnly: !mount.rw });
  }
  const open = undo.move();
  return { trees, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

async function openImage({ snapshots, foreign }: Disks, id: ContainerRecord["id"], mount: MountRecord) {
  await using view = await snapshots.mountView(id, mount.destination);
  return (await foreign.clone(fdPath(view.rootFd), { subpath: subpathOf(mount), isRecursive: true })).fd;
}

async function openFolder({ foreign }: Disks, mount: MountRecord): Promise<number | undefined> {
  const { type, source } = mount;
  if (type === "tmpfs") return undefined;
  const subpath = type === "volume" ? subpathOf(mount) : undefined;
  try {
    return (await foreign.clone(source, { subpath, isRecursive: true })).fd;
  } catch (error) {
    if (type === "bind" && (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR")) return undefined;
    throw error;
  }
}

export function subpathOf({ type, spec }: MountRecord): string {
  if (type === "image") return spec?.ImageOptions?.Subpath ?? "";
  return type === "volume" ? (spec?.VolumeOptions?.Subpath ?? "") : "";
}
