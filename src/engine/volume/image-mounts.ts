/** `--mount type=image`: another image's files, read-only, for as long as the container runs. */
import { rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { errnoOf } from "#base/errors";
import type { Id } from "#base/ids";
import { AT_FDCWD, MNT_DETACH, moveMount, umount2 } from "#native";
import type { MountRecord, Storage } from "#storage";

type Views = Pick<Storage["snapshots"], "mountView">;

/** Mounts each of them at its `source`. Undone by `unmountImages`. */
export async function mountImages(
  views: Views,
  { id, mounts, isMapped }: { readonly id: Id; readonly mounts: readonly MountRecord[]; readonly isMapped: boolean },
): Promise<void> {
  for (const { source, destination } of imageMounts(mounts)) {
    await mkdir(source, { recursive: true, mode: 0o700 });
    await using view = await views.mountView(id, destination, { isMapped });
    moveMount(view.rootFd, AT_FDCWD, source);
  }
}

/** Idempotent. */
export function unmountImages(mounts: readonly MountRecord[]): void {
  for (const { source } of imageMounts(mounts)) {
    try {
      umount2(source, MNT_DETACH);
    } catch (error) {
      if (errnoOf(error) !== "EINVAL" && errnoOf(error) !== "ENOENT") throw error;
    }
    rmSync(dirname(dirname(source)), { recursive: true, force: true });
  }
}

const imageMounts = (mounts: readonly MountRecord[]): MountRecord[] => mounts.filter((mount) => mount.type === "image");
