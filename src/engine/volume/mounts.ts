/** Mounts of volumes that have driver options: one mount for all running containers that use the volume. */

import { lookup } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { errnoText } from "#base/errno-text";
import { EngineError, errnoOf, messageOf } from "#base/errors";
import { MNT_DETACH, mount, umount2 } from "#native";
import { type DriverOptions, mountCallOf, withoutPassword } from "./options.ts";

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

export function unmountVolume(mountpoint: string): void {
  try {
    umount2(mountpoint, MNT_DETACH);
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
  try {
    mount(mountCallOf(await withAddress(volume.options), volume.mountpoint));
  } catch (error) {
    const reason = withoutPassword(reasonOf(error, volume));
    const message = `error while mounting volume '${volume.mountpoint}': failed to mount local volume: ${reason}`;
    throw new EngineError("system", message, { cause: error });
  }
}

/** moby's words: what was mounted where, how, and the kernel's reason. */
function reasonOf(error: unknown, { options, mountpoint }: MountableVolume): string {
  const code = errnoOf(error);
  if (code === undefined) return messageOf(error);
  const { source, flags = 0, options: text = "" } = mountCallOf(options, mountpoint);
  const target = source === undefined ? mountpoint : `${source}:${mountpoint}`;
  const how = [flags === 0 ? "" : `, flags: 0x${flags.toString(16)}`, text === "" ? "" : `, data: ${text}`].join("");
  return `mount ${target}${how}: ${errnoText(code)}`;
}

/** The kernel's NFS and CIFS take addresses, not names. */
async function withAddress(options: DriverOptions): Promise<DriverOptions> {
  if (options.type !== "nfs" && options.type !== "cifs") return options;
  const name = /(?:^|,)addr=([^,]+)/.exec(options.o ?? "")?.[1];
  if (name === undefined || isIP(name) !== 0) return options;
  const { address } = await lookup(name);
  return { ...options, o: (options.o ?? "").replace(`addr=${name}`, `addr=${address}`) };
}
