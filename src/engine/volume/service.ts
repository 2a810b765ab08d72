/** Volumes of the local driver: named folders that outlive containers (moby volume/service, volume/local). */
import { closeSync } from "node:fs";
import { join } from "node:path";
import type { Volume, VolumeCreateRequest, VolumeList, VolumePruneReport } from "#api-schema/volume";
import type { Clock } from "#base/clock";
import { EngineError, isKind, messageOf } from "#base/errors";
import { type Id, newId } from "#base/ids";
import { Locks } from "#base/locks";
import type { ContainerRecord, DocumentTable, MountRecord, MountTree, Storage, VolumeRecord } from "#storage";
import type { Events } from "../events.ts";
import type { Filters } from "../filters.ts";
import type { ResolvedMount } from "../spec/mounts.ts";
import { remapOf, type UserRemap } from "../user-remap.ts";
import { copyUp, openImageDirectory } from "./copy-up.ts";
import { anonymousLabel, listFilter, pruneFilter } from "./filters.ts";
import { mountImages, unmountImages } from "./image-mounts.ts";
import { VolumeMounts } from "./mounts.ts";
import { checkDriverOptions, isMounted } from "./options.ts";
import { References } from "./references.ts";
import { resolveMount } from "./resolve.ts";
import { shown } from "./shown.ts";
import { type LocatedVolume, VolumeStore } from "./store.ts";
import { mountSubpath, unmountSubpaths } from "./subpath.ts";
import { openTrees, subpathOf } from "./trees.ts";
import { checkDriver, checkName, localDriver } from "./validate.ts";

export interface VolumeServiceOptions {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly records: DocumentTable<VolumeRecord>;
  readonly storage: Pick<Storage, "sync"> & {
    readonly snapshots: Pick<Storage["snapshots"], "mount" | "mountView" | "removeViews">;
    readonly archive: Pick<Storage["archive"], "populate" | "measure">;
    readonly foreign: Storage["foreign"];
  };
  readonly events: Pick<Events, "emit">;
  readonly clock: Clock;
  readonly userRemap?: UserRemap | undefined;
}

export interface VolumeOptions {
  /** "" for an anonymous one. */
  readonly name: string;
  /** "" for local. */
  readonly driver: string;
  readonly labels: Readonly<Record<string, string>> | null;
  readonly options: Readonly<Record<string, string>> | null;
}

/** Operations on one volume run one after another; containers hold volumes by reference, and a held one is not removed. */
export class VolumeService {
  readonly #options: VolumeServiceOptions;
  readonly #store: VolumeStore;
  readonly #mounts: VolumeMounts;
  readonly #references = new References();
  readonly #locks = new Locks();
  readonly #running = new Map<string, readonly MountRecord[]>();
  #isPruning = false;

  private constructor(options: VolumeServiceOptions) {
    this.#options = options;
    this.#mounts = new VolumeMounts(options.storage.foreign);
    this.#store = new VolumeStore(join(options.dataRoot, "volumes"), options.records, {
      clock: options.clock,
      owner: options.userRemap?.root,
      sync: () => options.storage.sync(),
    });
  }

  /** Knows again which containers hold what. */
  static async open(options: VolumeServiceOptions, containers: readonly ContainerRecord[]): Promise<VolumeService> {
    const service = new VolumeService(options);
    for (const record of containers) service.#adopt(record, record.state.pid !== 0);
    await service.#store.open((name) => service.#references.has(name));
    await service.#removeAbandoned(new Set(containers.map(({ id }) => id)));
    return service;
  }

  /** After a restart: `running` run still. What is mounted for nobody was left by a daemon that died. */
  async restore(running: readonly ContainerRecord[], stopped: readonly ContainerRecord[]): Promise<void> {
    for (const record of running) this.#adopt(record, true);
    for (const { name, mountpoint, options } of this.#store.list()) {
      if (isMounted(options) && !this.#mounts.isHeld(name)) await this.#options.storage.foreign.unmount(mountpoint);
    }
    for (const { id, mounts } of stopped) {
      unmountImages(mounts);
      if (mounts.some((mount) => subpathOf(mount) !== "")) await unmountSubpaths(this.#subpaths(id));
    }
  }

  async create(request: VolumeCreateRequest): Promise<Volume> {
    const { Name: name, Driver: driver, Labels: labels, DriverOpts: options } = request;
    return shown(await this.#ensure({ name, driver, labels, options }));
  }

  /** The volume of that name, made if there is none, and held by the container from now on. */
  ensure(options: VolumeOptions, containerId: Id): Promise<LocatedVolume> {
    return this.#ensure(options, containerId);
  }

  async inspect(name: string): Promise<Volume> {
    return shown(this.#store.get(name));
  }

  list(filters: Filters): VolumeList {
    const matches = listFilter(filters, (name) => this.#references.has(name));
    return { Volumes: this.#store.list().filter(matches).map(shown), Warnings: null };
  }

  /** `force`: a volume that is not there is as good as removed. */
  async remove(name: string, { force }: { readonly force: boolean }): Promise<void> {
    if (force && this.#store.find(name) === undefined) return;
    await this.#locks.run(name, () => this.#remove(this.#store.get(name)));
  }

  async prune(filters: Filters, signal?: AbortSignal): Promise<VolumePruneReport> {
    if (this.#isPruning) throw new EngineError("conflict", "a prune operation is already running");
    this.#isPruning = true;
    try {
      return await this.#prune(filters, signal);
    } finally {
      this.#isPruning = false;
    }
  }

  /** For `docker system df`: volumes that are plain folders, with their sizes. */
  async diskUsage(signal?: AbortSignal): Promise<Volume[]> {
    const plain = this.#store.list().filter(({ options }) => Object.keys(options ?? {}).length === 0);
    const volumes: Volume[] = [];
    for (const volume of plain) {
      const Size = await this.#sizeOf(volume, signal);
      volumes.push({ ...shown(volume), UsageData: { RefCount: this.#references.of(volume.name).length, Size } });
    }
    return volumes;
  }

  /** One more holder of a volume that there is: `--volumes-from`. */
  async reference(name: string, containerId: Id): Promise<void> {
    await this.#locks.run(name, async () => this.#references.add(this.#store.get(name).name, containerId));
  }

  /** Undoes a create: the references, and the anonymous volumes that came with them; as in dockerd, others stay. */
  async discard(containerId: Id, mounts: readonly MountRecord[]): Promise<void> {
    this.keep({ mounts }, { withAnonymous: false });
    await this.#removeAnonymous(containerId, mounts);
    this.forget(containerId);
  }

  /** `docker rm -v`: what nobody named and nobody else holds. */
  async removeAnonymousOf(record: ContainerRecord): Promise<void> {
    await this.#removeAnonymous(record.id, record.mounts);
  }

  /** `docker rm`: these stay. Said before the container goes: a crash in between would leave volumes that seem to be abandoned. */
  keep(
    { mounts }: { readonly mounts: readonly MountRecord[] },
    { withAnonymous }: { readonly withAnonymous: boolean },
  ): void {
    for (const { name, isAnonymous } of volumeMounts(mounts)) if (withAnonymous || !isAnonymous) this.#store.keep(name);
  }

  /** The container is gone: its volumes are free. */
  forget(containerId: Id): void {
    this.#references.drop(containerId);
    this.#options.storage.snapshots.removeViews(containerId);
  }

  /** Fills fresh volumes with what the image has there. Before the first start. */
  async copyUp(record: Pick<ContainerRecord, "id" | "mounts" | "hostConfig">): Promise<void> {
    const fresh = record.mounts.filter((mount) => mount.type === "volume" && mount.copyUp);
    if (fresh.length === 0) return;
    await using root = await this.#options.storage.snapshots.mount(record.id, { isReadOnly: true });
    const remap = remapOf(record.hostConfig, this.#options.userRemap);
    for (const mount of fresh) await this.#copyUp({ ...record, remap }, mount, root.rootFd);
  }

  /** Before a start: volumes with driver options are mounted. Undone by `release`. */
  async acquire({ id: containerId, mounts, hostConfig }: ContainerRecord): Promise<void> {
    this.#running.set(containerId, mounts);
    try {
      for (const mount of volumeMounts(mounts)) await this.#acquire(containerId, mount);
      const isMapped = remapOf(hostConfig, this.#options.userRemap) !== undefined;
      await mountImages(this.#options.storage.snapshots, { id: containerId, mounts, isMapped });
    } catch (error) {
      await this.release(containerId);
      throw error;
    }
  }

  /** After the exit, or to undo `acquire` and `resolve`. Idempotent. */
  async release(containerId: Id): Promise<void> {
    const mounts = this.#running.get(containerId) ?? [];
    this.#running.delete(containerId);
    await unmountSubpaths(this.#subpaths(containerId));
    unmountImages(mounts);
    for (const mount of volumeMounts(mounts)) {
      const volume = this.#store.find(mount.name);
      if (volume === undefined) continue;
      const { options } = volume;
      if (isMounted(options)) await this.#mounts.release({ ...volume, options }, containerId);
      this.#emitUnmount(containerId, mount);
    }
  }

  /** The container's mounts as the runtime is to make them. Sources of `-v` that are missing are made. */
  async resolve(record: ContainerRecord): Promise<ResolvedMount[]> {
    const resolved: ResolvedMount[] = [];
    const { foreign } = this.#options.storage;
    const remap = remapOf(record.hostConfig, this.#options.userRemap);
    for (const mount of record.mounts) {
      // `--tmpfs` wins, and is not one of these.
      if (Object.hasOwn(record.hostConfig.Tmpfs ?? {}, mount.destination)) continue;
      const subpath = { volume: mount.source, subpath: subpathOf(mount) };
      const source = await mountSubpath(foreign, subpath, this.#subpaths(record.id));
      resolved.push(await resolveMount(foreign, mount, source, remap));
    }
    return resolved;
  }

  /** Says that a container's volumes are in use, until disposed: so `docker cp` shows in the events. */
  announce({ id, mounts }: ContainerRecord): Disposable {
    using undo = new DisposableStack();
    for (const mount of volumeMounts(mounts)) {
      this.#emitMount(id, mount);
      undo.defer(() => this.#emitUnmount(id, mount));
    }
    return undo.move();
  }

  /** The mounts of a container that does not run, for a view of its root. */
  async openTrees(record: ContainerRecord): Promise<AsyncDisposable & { readonly trees: readonly MountTree[] }> {
    await using undo = new AsyncDisposableStack();
    const holder = newId();
    for (const { name } of volumeMounts(record.mounts)) {
      const volume = this.#store.get(name);
      undo.use(await this.#locks.run(name, () => this.#hold(volume, holder)));
    }
    const remap = remapOf(record.hostConfig, this.#options.userRemap);
    const { trees } = undo.use(await openTrees(this.#options.storage, { ...record, remap }));
    const open = undo.move();
    return { trees, [Symbol.asyncDispose]: () => open.disposeAsync() };
  }

  /** All removals that go on in the background have ended. */
  async close(): Promise<void> {
    await this.#store.settled();
  }

  async #ensure(asked: VolumeOptions, containerId?: Id): Promise<LocatedVolume> {
    const isAnonymous = asked.name === "";
    const name = isAnonymous ? newId() : asked.name;
    const labels = isAnonymous ? { ...asked.labels, [anonymousLabel]: "" } : asked.labels;
    return this.#locks.run(name, async () => {
      checkDriver(name, asked.driver);
      const owner = containerId === undefined ? {} : { createdFor: containerId };
      const volume = this.#store.find(name) ?? (await this.#make({ ...asked, ...owner, name, labels }));
      if (containerId === undefined) this.#store.keep(name);
      else this.#references.add(name, containerId);
      return volume;
    });
  }

  async #make(asked: VolumeOptions & { readonly createdFor?: Id }): Promise<LocatedVolume> {
    const { driver: _, ...wanted } = asked;
    const { name, options } = wanted;
    try {
      checkName(name);
      checkDriverOptions(options ?? {});
    } catch (error) {
      throw new EngineError("invalidParameter", `create ${name}: ${messageOf(error)}`, { cause: error });
    }
    const volume = await this.#store.make(wanted);
    this.#options.events.emit("volume", "create", name, { driver: localDriver });
    return volume;
  }

  async #remove(volume: LocatedVolume): Promise<void> {
    const { name, driver } = volume;
    const holders = this.#references.of(name);
    if (holders.length > 0) {
      throw new EngineError("conflict", `remove ${name}: volume is in use - [${holders.join(", ")}]`);
    }
    if (this.#mounts.isHeld(name)) throw new EngineError("system", `remove ${name}: volume has active mounts`);
    if (isMounted(volume.options)) await this.#options.storage.foreign.unmount(volume.mountpoint);
    await this.#store.remove(name);
    this.#options.events.emit("volume", "destroy", name, { driver });
  }

  async #prune(filters: Filters, signal: AbortSignal | undefined): Promise<VolumePruneReport> {
    const matches = pruneFilter(filters, (name) => this.#references.has(name));
    const VolumesDeleted: string[] = [];
    let SpaceReclaimed = 0;
    for (const volume of this.#store.list().filter(matches)) {
      if (signal?.aborted) break;
      const { name } = volume;
      const sizeBytes = await this.#sizeOf(volume, signal);
      try {
        await this.remove(name, { force: true });
      } catch (error) {
        // It was taken into use in the meantime.
        if (error instanceof EngineError) continue;
        throw error;
      }
      VolumesDeleted.push(name);
      SpaceReclaimed += Math.max(sizeBytes, 0);
    }
    this.#options.events.emit("volume", "prune", "", { reclaimed: String(SpaceReclaimed) });
    return { VolumesDeleted, SpaceReclaimed };
  }

  /** -1 when it cannot be told. */
  async #sizeOf({ mountpoint }: LocatedVolume, signal: AbortSignal | undefined): Promise<number> {
    return await this.#options.storage.archive.measure(mountpoint, signal).catch(() => -1);
  }

  async #removeAnonymous(containerId: string, mounts: readonly MountRecord[]): Promise<void> {
    for (const { name } of anonymousMounts(mounts)) {
      this.#references.remove(name, containerId);
      await this.remove(name, { force: true }).catch((error: unknown) => {
        if (!isKind(error, "conflict")) throw error;
      });
    }
  }

  /** A daemon died while it created a container, or removed it with its volumes. */
  async #removeAbandoned(containers: ReadonlySet<string>): Promise<void> {
    for (const volume of this.#store.list()) {
      const { name, createdFor } = volume;
      if (createdFor === undefined || containers.has(createdFor) || this.#references.has(name)) continue;
      await this.#remove(volume);
    }
  }

  async #acquire(containerId: Id, mount: MountRecord): Promise<void> {
    const volume = this.#store.get(mount.name);
    const { options } = volume;
    if (isMounted(options)) {
      await this.#locks.run(volume.name, () => this.#mounts.acquire({ ...volume, options }, containerId));
    }
    this.#emitMount(containerId, mount);
  }

  #emitMount(container: Id, { name, driver, destination, rw, propagation }: MountRecord): void {
    const attributes = { driver, container, destination, "read/write": String(rw), propagation };
    this.#options.events.emit("volume", "mount", name, attributes);
  }

  #emitUnmount(container: Id, { name, driver }: MountRecord): void {
    this.#options.events.emit("volume", "unmount", name, { driver, container });
  }

  async #copyUp(
    container: { id: Id; remap: UserRemap | undefined },
    mount: MountRecord,
    rootFd: number,
  ): Promise<void> {
    const source = openImageDirectory(rootFd, mount.destination);
    if (source === undefined) return;
    using undo = new DisposableStack();
    undo.defer(() => closeSync(source));
    const volume = this.#store.get(mount.name);
    await this.#locks.run(volume.name, async () => {
      await using _held = await this.#hold(volume, container.id).catch((error: unknown) => {
        throw new EngineError("system", `failed to populate volume: ${messageOf(error)}`, { cause: error });
      });
      const target = { volume: volume.mountpoint, subpath: subpathOf(mount), remap: container.remap };
      await copyUp(this.#options.storage, source, target).catch((error: unknown) => {
        // A subpath that is not there is the start's to refuse.
        if (!isKind(error, "notFound")) throw error;
      });
    });
  }

  /** Keeps it mounted. */
  async #hold(volume: LocatedVolume, holder: Id): Promise<AsyncDisposable> {
    const { options } = volume;
    if (!isMounted(options)) return { [Symbol.asyncDispose]: async () => undefined };
    const mountable = { ...volume, options };
    await this.#mounts.acquire(mountable, holder);
    return { [Symbol.asyncDispose]: () => this.#mounts.release(mountable, holder) };
  }

  #adopt(record: ContainerRecord, isRunning: boolean): void {
    if (isRunning) this.#running.set(record.id, record.mounts);
    for (const { name } of volumeMounts(record.mounts)) {
      this.#references.add(name, record.id);
      if (isRunning && isMounted(this.#store.find(name)?.options ?? null)) this.#mounts.adopt(name, record.id);
    }
  }

  #subpaths(containerId: string): string {
    return join(this.#options.execRoot, "subpaths", containerId);
  }
}

const volumeMounts = (mounts: readonly MountRecord[]): MountRecord[] =>
  mounts.filter((mount) => mount.type === "volume");

const anonymousMounts = (mounts: readonly MountRecord[]): MountRecord[] =>
  volumeMounts(mounts).filter((mount) => mount.isAnonymous);
