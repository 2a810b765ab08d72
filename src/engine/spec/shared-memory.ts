/**
 * /dev/shm that outlives the container's own mount namespace, because others may join it (`--ipc shareable`): a tmpfs in the
 * bundle. All other containers have theirs from the runtime.
 */
import { existsSync } from "node:fs";
import { mkdir, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "#base/errors";
import { MNT_DETACH, MS_NODEV, MS_NOEXEC, MS_NOSUID, mount, umount2 } from "#native";
import type { ContainerRecord } from "#storage";
import type { UserRemap } from "../user-remap.ts";
import { containerOf } from "./modes.ts";
import type { ResolvedMount } from "./mounts.ts";
import { type FindContainer, ipcContainer } from "./namespaces.ts";

type BundleOf = (containerId: string) => string;

export interface SharedMemoryOptions {
  readonly bundleOf: BundleOf;
  readonly findContainer: FindContainer;
  readonly userRemap: UserRemap | undefined;
}

/** The host's path of what a container sees as /dev/shm; undefined when it has a private one or none. */
function sharedMemoryPath(record: ContainerRecord, bundleOf: BundleOf, find: FindContainer): string | undefined {
  const mode = record.hostConfig.IpcMode;
  const donor = containerOf(mode);
  if (donor !== undefined) return sharedMemoryPath(ipcContainer(donor, find), bundleOf, find);
  if (mode === "host") return "/dev/shm";
  return mode === "shareable" || mode === "" ? join(bundleOf(record.id), "shm") : undefined;
}

const hasOwnMount = (record: ContainerRecord): boolean =>
  record.mounts.some((mount) => mount.destination === "/dev/shm") ||
  Object.keys(record.hostConfig.Tmpfs ?? {}).includes("/dev/shm");

/** Makes what must be made for this start, and says what to mount. `unmountSharedMemory` is its undo. */
export async function prepareSharedMemory(
  record: ContainerRecord,
  { bundleOf, findContainer: find, userRemap }: SharedMemoryOptions,
): Promise<ResolvedMount[]> {
  const source = sharedMemoryPath(record, bundleOf, find);
  if (source === undefined || hasOwnMount(record)) return [];
  if (source === "/dev/shm") {
    if (!existsSync(source)) throw new Error("/dev/shm is not mounted, but must be for --ipc=host");
  } else if (source === join(bundleOf(record.id), "shm")) {
    await unmountSharedMemory(record.id, bundleOf);
    await mkdir(source, { recursive: true, mode: 0o700 });
    const { uid, gid } = userRemap?.root ?? { uid: 0, gid: 0 };
    const options = `mode=1777,uid=${uid},gid=${gid},size=${record.hostConfig.ShmSize}`;
    mount({ source: "shm", target: source, type: "tmpfs", flags: MS_NOEXEC | MS_NOSUID | MS_NODEV, options });
  }
  return [{ type: "bind", source, destination: "/dev/shm", isWritable: true, propagation: "rprivate" }];
}

/** After the exit, or to undo a start. Idempotent. */
export async function unmountSharedMemory(containerId: string, bundleOf: BundleOf): Promise<void> {
  const path = join(bundleOf(containerId), "shm");
  try {
    umount2(path, MNT_DETACH);
  } catch (error) {
    if (!["ENOENT", "EINVAL"].includes(errnoOf(error) ?? "")) throw error;
  }
  await rmdir(path).catch(() => undefined);
}
