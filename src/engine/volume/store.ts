/**
 * Volumes as they are kept: a folder each, and a row with what the folder does not say. The row comes first and goes last. So
 * a row without a folder is what a daemon that died has left of a volume that was being made or removed, and goes, unless a
 * container has it: then somebody took the folder, and gets an empty one. A folder without a row was put there by hand, and
 * becomes a volume.
 */
import { type Clock, formatTime } from "#base/clock";
import { EngineError } from "#base/errors";
import type { Owner } from "#base/id-mappings";
import type { DocumentTable, VolumeRecord } from "#storage";
import { anonymousLabel } from "./filters.ts";
import { VolumeFolders } from "./folders.ts";
import { isVolumeName, localDriver } from "./validate.ts";

/** A volume with the place of its data. */
export interface LocatedVolume extends VolumeRecord {
  readonly mountpoint: string;
}

type NewVolume = Omit<VolumeRecord, "driver" | "createdAt">;

export class VolumeStore {
  readonly #folders: VolumeFolders;
  readonly #records: DocumentTable<VolumeRecord>;
  readonly #clock: Clock;
  readonly #syncRecords: () => Promise<void>;

  /** `owner`: of the root of each new volume. */
  constructor(
    root: string,
    records: DocumentTable<VolumeRecord>,
    {
      clock,
      owner,
      sync,
    }: { readonly clock: Clock; readonly owner?: Owner | undefined; readonly sync: () => Promise<void> },
  ) {
    this.#folders = new VolumeFolders(root, owner);
    this.#records = records;
    this.#clock = clock;
    this.#syncRecords = sync;
  }

  /** `isUsed`: whether a container has a volume of that name. */
  async open(isUsed: (name: string) => boolean): Promise<void> {
    const unknown = new Set(await this.#folders.open());
    for (const { name } of this.#records.list()) {
      if (unknown.delete(name)) continue;
      if (isUsed(name)) await this.#folders.make(name);
      else this.#records.delete(name);
    }
    for (const name of unknown) {
      const createdNs = isVolumeName(name) ? await this.#folders.createdNs(name) : undefined;
      if (createdNs === undefined) continue;
      const labels = isAnonymousName(name) ? { [anonymousLabel]: "" } : null;
      this.#records.insert(name, recordOf({ name, labels, options: null }, createdNs));
    }
  }

  find(name: string): LocatedVolume | undefined {
    const record = this.#records.find(name);
    return record === undefined ? undefined : this.#located(record);
  }

  get(name: string): LocatedVolume {
    const volume = this.find(name);
    if (volume === undefined) throw new EngineError("notFound", `${`get ${name}`.trimEnd()}: no such volume`);
    return volume;
  }

  list(): LocatedVolume[] {
    return this.#records.list().map((record) => this.#located(record));
  }

  /** Throws when there is one of that name. It outlives a power cut, unless it is made for a container: that may not, either. */
  async make(asked: NewVolume): Promise<LocatedVolume> {
    const record = recordOf(asked, this.#clock.now());
    this.#records.insert(asked.name, record);
    try {
      // What lay there already is nobody's to remove.
      if (!(await this.#folders.make(asked.name))) this.keep(asked.name);
    } catch (error) {
      this.#records.delete(asked.name);
      throw error;
    }
    if (asked.createdFor === undefined) await this.#sync();
    return this.#located(record);
  }

  /** It outlives the container that it was made for, if there was one. */
  keep(name: string): void {
    const record = this.#records.find(name);
    if (record?.createdFor === undefined) return;
    const { createdFor: _, ...kept } = record;
    this.#records.update(name, kept);
  }

  async remove(name: string): Promise<void> {
    await this.#folders.remove(name);
    this.#records.delete(name);
    await this.#sync();
  }

  /** All removals that go on in the background have ended. */
  async settled(): Promise<void> {
    await this.#folders.settled();
  }

  async #sync(): Promise<void> {
    await Promise.all([this.#folders.sync(), this.#syncRecords()]);
  }

  #located(record: VolumeRecord): LocatedVolume {
    return { ...record, mountpoint: this.#folders.mountpoint(record.name) };
  }
}

const isAnonymousName = (name: string): boolean => /^[0-9a-f]{64}$/.test(name);

/** Whole seconds: clients have never seen more of a volume's birth. */
const recordOf = ({ labels, options, ...asked }: NewVolume, createdNs: bigint): VolumeRecord => ({
  ...asked,
  driver: localDriver,
  createdAt: formatTime((createdNs / 1_000_000_000n) * 1_000_000_000n),
  labels: labels === null ? null : { ...labels },
  options: options === null ? null : { ...options },
});
