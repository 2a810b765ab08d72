/** Mounts of volumes that have driver options: one mount for all running containers that use the volume. */
import { readFile } from "node:fs/promises";
import { errnoText } from "#base/errno-text";
import { EngineError, errnoOf, messageOf } from "#base/errors";
import { Locks } from "#base/locks";
import { mountOf } from "#base/mountinfo";
import type { ForeignFiles } from "#storage";
import { mountSteps } from "./mount-options.ts";
import { withAddress } from "./network-address.ts";
import type { DriverOptions } from "./options.ts";

export interface MountableVolume {
  readonly name: string;
  readonly mountpoint: string;
  readonly options: DriverOptions;
}

type Mounter = Pick<ForeignFiles, "mount" | "unmount">;

export class VolumeMounts {
  readonly #mounter: Mounter;
  readonly #locks = new Locks();
  /** Volume → the containers that hold its mount. */
  readonly #holders = new Map<string, Set<string>>();

  constructor(mounter: Mounter) {
    this.#mounter = mounter;
  }

  isHeld(name: string): boolean {
    return (this.#holders.get(name)?.size ?? 0) > 0;
  }

  /** A container that ran through a restart of the daemon: its mount is there. */
  adopt(name: string, containerId: string): void {
    this.#holdersOf(name).add(containerId);
  }

  acquire(volume: MountableVolume, containerId: string): Promise<void> {
    return this.#locks.run(volume.name, () => this.#acquire(volume, containerId));
  }

  /** The last holder unmounts. Idempotent. */
  release(volume: MountableVolume, containerId: string): Promise<void> {
    return this.#locks.run(volume.name, () => this.#release(volume, containerId));
  }

  async #acquire(volume: MountableVolume, containerId: string): Promise<void> {
    const holders = this.#holdersOf(volume.name);
    if (holders.size === 0 && !(await isMountPoint(volume.mountpoint))) await mountVolume(this.#mounter, volume);
    holders.add(containerId);
  }

  async #release(volume: MountableVolume, containerId: string): Promise<void> {
    const holders = this.#holdersOf(volume.name);
    if (!holders.delete(containerId) || holders.size > 0) return;
    await this.#mounter.unmount(volume.mountpoint);
  }

  #holdersOf(name: string): Set<string> {
    const holders = this.#holders.get(name) ?? new Set();
    this.#holders.set(name, holders);
    return holders;
  }
}

async function isMountPoint(path: string): Promise<boolean> {
  return mountOf(await readFile("/proc/self/mountinfo", "utf8"), path).mountPoint === path;
}

async function mountVolume(mounter: Mounter, volume: MountableVolume): Promise<void> {
  const { mountpoint } = volume;
  try {
    await mountAt(mounter, mountpoint, await withAddress(volume.options));
  } catch (error) {
    const message = `error while mounting volume '${mountpoint}': ${withoutPassword(messageOf(error))}`;
    throw new EngineError("system", message, { cause: error });
  }
}

async function mountAt(mounter: Mounter, target: string, options: DriverOptions): Promise<void> {
  const { type = "", device = "", o = "" } = options;
  // dockerd finds this out here, too.
  if (device === "") throw new Error("missing device in volume options");
  await using undo = new AsyncDisposableStack();
  for (const { name, flags, data } of mountSteps(o)) {
    const source = name === "mount" ? device : "";
    try {
      await mounter.mount({ source, target, type: name === "mount" ? type : "", flags, options: data });
    } catch (error) {
      const what = source === "" ? target : `${source}:${target}`;
      const how = [flags === 0 ? "" : `, flags: 0x${flags.toString(16)}`, data === "" ? "" : `, data: ${data}`].join(
        "",
      );
      const reason = `${name} ${what}${how}: ${errnoText(errnoOf(error) ?? messageOf(error))}`;
      throw new Error(`failed to mount local volume: ${reason}`, { cause: error });
    }
    if (name === "mount") undo.defer(() => mounter.unmount(target));
  }
  undo.move();
}

/** Error texts must not carry what `o=password=…` said. */
const withoutPassword = (text: string): string => text.replace(/password=[^,]*/g, "password=********");
