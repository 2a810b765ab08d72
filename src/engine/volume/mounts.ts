/** Mounts of volumes that have driver options: one mount for all running containers that use the volume. */
import { readFile } from "node:fs/promises";
import { errnoText } from "#base/errno-text";
import { EngineError, errnoOf, messageOf } from "#base/errors";
import { MNT_DETACH, mount, umount2 } from "#native";
import { mountSteps } from "./mount-options.ts";
import { withAddress } from "./network-address.ts";
import type { DriverOptions } from "./options.ts";

export interface MountableVolume {
  readonly name: string;
  readonly mountpoint: string;
  readonly options: DriverOptions;
}

export class VolumeMounts {
  /** Volume → the containers that hold its mount. */
  readonly #holders = new Map<string, Set<string>>();

  isHeld(name: string): boolean {
    return (this.#holders.get(name)?.size ?? 0) > 0;
  }

  /** A container that ran through a restart of the daemon: its mount is there. */
  adopt(name: string, containerId: string): void {
    this.#holdersOf(name).add(containerId);
  }

  async acquire(volume: MountableVolume, containerId: string): Promise<void> {
    const holders = this.#holdersOf(volume.name);
    const isFirst = holders.size === 0;
    holders.add(containerId);
    if (!isFirst) return;
    try {
      if (!(await isMountPoint(volume.mountpoint))) await mountVolume(volume);
    } catch (error) {
      holders.delete(containerId);
      throw error;
    }
  }

  /** The last holder unmounts. Idempotent. */
  release(volume: MountableVolume, containerId: string): void {
    const holders = this.#holdersOf(volume.name);
    if (!holders.delete(containerId) || holders.size > 0) return;
    unmountVolume(volume.mountpoint);
  }

  #holdersOf(name: string): Set<string> {
    const holders = this.#holders.get(name) ?? new Set();
    this.#holders.set(name, holders);
    return holders;
  }
}

/** All that is mounted there, or removing the folder would remove what a mount shows. */
export function unmountVolume(mountpoint: string): void {
  try {
    for (;;) umount2(mountpoint, MNT_DETACH);
  } catch (error) {
    // EINVAL: nothing is mounted there.
    if (errnoOf(error) !== "EINVAL" && errnoOf(error) !== "ENOENT") throw error;
  }
}

async function isMountPoint(path: string): Promise<boolean> {
  const mountinfo = await readFile("/proc/self/mountinfo", "utf8");
  return mountinfo.split("\n").some((line) => line.split(" ")[4] === path);
}

async function mountVolume(volume: MountableVolume): Promise<void> {
  const { mountpoint } = volume;
  try {
    mountAt(mountpoint, await withAddress(volume.options));
  } catch (error) {
    const message = `error while mounting volume '${mountpoint}': ${withoutPassword(messageOf(error))}`;
    throw new EngineError("system", message, { cause: error });
  }
}

function mountAt(target: string, { type = "", device = "", o = "" }: DriverOptions): void {
  // dockerd finds this out here, too.
  if (device === "") throw new Error("missing device in volume options");
  using undo = new DisposableStack();
  for (const { name, flags, data } of mountSteps(o)) {
    const source = name === "mount" ? device : "";
    try {
      mount({ source, target, type: name === "mount" ? type : "", flags, options: data });
    } catch (error) {
      const what = source === "" ? target : `${source}:${target}`;
      const how = [flags === 0 ? "" : `, flags: 0x${flags.toString(16)}`, data === "" ? "" : `, data: ${data}`].join(
        "",
      );
      const reason = `${name} ${what}${how}: ${errnoText(errnoOf(error) ?? messageOf(error))}`;
      throw new Error(`failed to mount local volume: ${reason}`, { cause: error });
    }
    if (name === "mount") undo.defer(() => unmountVolume(target));
  }
  undo.move();
}

/** Error texts must not carry what `o=password=…` said. */
const withoutPassword = (text: string): string => text.replace(/password=[^,]*/g, "password=********");
