import { close, closeSync, existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { type Id, parseId } from "#base/ids";
import { fdPath } from "#native";
import type { TreeArchive } from "../archive/archive.ts";
import type { Database } from "../database.ts";
import { type ChainId, parseChainId } from "../layers/chain.ts";
import { type OverlayLayerStore, overlayMetadata } from "../layers/store.ts";
import type { Layout } from "../layout.ts";
import type { SnapshotNumbers } from "../numbers.ts";
import type { Trash } from "../trash.ts";
import type { Change, MountedSnapshot, OverlayMetadata, OverlayMount, SnapshotStore } from "../types.ts";
import type { WorkerPool } from "../workers/pool.ts";
import { makeInitLayer } from "./init-layer.ts";
import { mountMapped } from "./mapped.ts";
import { mountDetached, type OverlayParts, overlayOptions } from "./overlay.ts";
import { requireOverlay } from "./probe.ts";
import { Views } from "./views.ts";

export interface SnapshotStoreParts {
  readonly database: Database;
  readonly layers: OverlayLayerStore;
  readonly archive: TreeArchive;
  readonly layout: Layout;
  readonly numbers: SnapshotNumbers;
  readonly pool: WorkerPool;
  readonly trash: Trash;
  readonly execRoot: string;
  readonly userNamespace: string | undefined;
}

interface Row {
  readonly container_id: string;
  readonly parent: string | null;
  readonly snapshot_number: number;
  readonly size_bytes: number | null;
}

interface Snapshot {
  readonly number: number;
  readonly folder: string;
  readonly parent: ChainId | undefined;
}

/** An overlay without layers below it still wants a lower directory: this one stays empty. */
export const emptyLower = "empty";

export class OverlaySnapshotStore implements SnapshotStore, Disposable {
  readonly #parts: SnapshotStoreParts;
  readonly #mapped: ReturnType<typeof mountMapped> | undefined;
  readonly #views: Views;
  /** How often each snapshot was given to a writer since this start. */
  readonly #writers = new Map<Id, number>();
  readonly #insert;
  readonly #setSize;
  readonly #delete;
  readonly #find;
  readonly #all;
  readonly #orphans;

  private constructor(parts: SnapshotStoreParts) {
    const { database, userNamespace, layout } = parts;
    this.#parts = parts;
    if (userNamespace !== undefined) this.#mapped = mountMapped(layout.snapshots, { ...parts, userNamespace });
    this.#views = new Views({ ...parts, emptyLower: `${emptyLower}/fs` });
    this.#insert = database.prepare("INSERT INTO snapshots (container_id, parent, snapshot_number) VALUES (?, ?, ?)");
    this.#setSize = database.prepare("UPDATE snapshots SET size_bytes = ? WHERE container_id = ?");
    this.#delete = database.prepare("DELETE FROM snapshots WHERE container_id = ?");
    this.#find = database.prepare<[string], Row>("SELECT * FROM snapshots WHERE container_id = ?");
    this.#all = database.prepare<[], Row>("SELECT * FROM snapshots");
    this.#orphans = database.prepare<[], Row>(
      "SELECT * FROM snapshots WHERE NOT EXISTS (SELECT 1 FROM containers WHERE containers.id = snapshots.container_id)",
    );
  }

  static async open(parts: SnapshotStoreParts): Promise<OverlaySnapshotStore> {
    const { snapshots } = parts.layout;
    const empty = join(snapshots, emptyLower, "fs");
    if (!existsSync(empty)) requireOverlay(snapshots, parts.execRoot);
    await mkdir(empty, { recursive: true, mode: 0o755 });
    return new OverlaySnapshotStore(parts);
  }

  async prepare(containerId: Id, parent: ChainId | undefined): Promise<void> {
    const { numbers, layout, trash, layers } = this.#parts;
    await using undo = new AsyncDisposableStack();
    if (parent !== undefined) {
      layers.retain(parent);
      undo.defer(() => void layers.release(parent));
    }
    this.#ensureInitLayer(parent);
    const number = numbers.next();
    const folder = layout.snapshot(number);
    await mkdir(folder, { mode: 0o700 });
    undo.defer(() => trash.discard(folder));
    await Promise.all([mkdir(join(folder, "fs"), { mode: 0o755 }), mkdir(join(folder, "work"), { mode: 0o700 })]);
    this.#insert.run(containerId, parent ?? null, number);
    undo.move();
    // The row keeps the parent from now on.
    if (parent !== undefined) layers.release(parent);
  }

  has(containerId: Id): boolean {
    return this.#find.get(containerId) !== undefined;
  }

  overlay(containerId: Id, { isMapped = false }: { isMapped?: boolean } = {}): OverlayMount {
    this.#forgetSize(containerId);
    return overlayOptions(this.#overlayParts(this.#get(containerId)), this.#directory(isMapped));
  }

  metadata(containerId: Id): OverlayMetadata {
    const { folder, parent } = this.#get(containerId);
    const below = this.#lower(parent).map((part) => join(this.#parts.layout.snapshots, part));
    return overlayMetadata(folder, below);
  }

  remove(containerId: Id): boolean {
    const row = this.#find.get(containerId);
    if (row === undefined) return false;
    this.#delete.run(containerId);
    this.#writers.delete(containerId);
    const { folder, parent } = this.#toSnapshot(row);
    this.#parts.trash.discard(folder);
    if (parent !== undefined) this.#parts.layers.removeIfUnreferenced(parent);
    return true;
  }

  async usage(containerId: Id, options: { isStill?: boolean; signal?: AbortSignal } = {}): Promise<number> {
    const { isStill = false, signal } = options;
    const row = this.#find.get(containerId);
    if (row === undefined) return 0;
    if (isStill && row.size_bytes !== null) return row.size_bytes;
    const writers = this.#writers.get(containerId);
    const directory = join(this.#toSnapshot(row).folder, "fs");
    const sizeBytes = await this.#parts.pool.run<"measure">({ kind: "measure", directory }, { signal });
    if (isStill && this.#writers.get(containerId) === writers) this.#setSize.run(sizeBytes, containerId);
    return sizeBytes;
  }

  bytesBelow(containerId: Id): number {
    const parent = this.#find.get(containerId)?.parent ?? null;
    if (parent === null) return 0;
    return this.#parts.layers.stack(parseChainId(parent)).reduce((sum, layer) => sum + layer.sizeBytes, 0);
  }

  /** Somebody may write from now on. */
  #forgetSize(containerId: Id): void {
    this.#writers.set(containerId, (this.#writers.get(containerId) ?? 0) + 1);
    if (this.#find.get(containerId)?.size_bytes !== null) this.#setSize.run(null, containerId);
  }

  async changes(containerId: Id, signal?: AbortSignal): Promise<Change[]> {
    const { folder, parent } = this.#get(containerId);
    const lowerFd = this.#mount({ lower: this.#lower(parent), upper: undefined });
    try {
      const job = { kind: "changes", upper: join(folder, "fs"), lowerFd } as const;
      return await this.#parts.pool.run<"changes">(job, { signal });
    } finally {
      closeSync(lowerFd);
    }
  }

  diffTar(containerId: Id): Readable {
    const directory = join(this.#get(containerId).folder, "fs");
    return this.#parts.archive.packDirectory(directory, { name: "", whiteouts: "overlay", xattrs: "all" });
  }

  async mount(containerId: Id, options: { isReadOnly?: boolean } = {}): Promise<MountedSnapshot> {
    const { isReadOnly = false } = options;
    const parts = this.#overlayParts(this.#get(containerId));
    if (!isReadOnly) this.#forgetSize(containerId);
    const rootFd = this.#mount(isReadOnly ? readOnly(parts) : parts);
    // The kernel waits for its other processors to let go of a mount: not on this thread.
    const end = async (): Promise<void> => {
      await promisify(close)(rootFd);
      if (!isReadOnly && this.has(containerId)) this.#forgetSize(containerId);
    };
    return { rootFd, path: fdPath(rootFd), [Symbol.asyncDispose]: end };
  }

  prepareView(containerId: Id, destination: string, parent: ChainId | undefined): void {
    this.#views.prepare(containerId, destination, parent);
  }

  mountView(containerId: Id, destination: string, options: { isMapped?: boolean } = {}): Promise<MountedSnapshot> {
    return this.#views.mount(containerId, destination, this.#directory(options.isMapped ?? false));
  }

  removeViews(containerId: Id): void {
    this.#views.remove(containerId);
  }

  /** What containers stand on, where a layer was unpacked anew. */
  async ensureInitLayers(): Promise<void> {
    for (const { parent } of this.#all.all())
      await this.#ensureInitLayer(parent === null ? undefined : parseChainId(parent));
  }

  /** Snapshots whose container was never recorded: a crash in the middle of `docker create`. */
  removeOrphans(): void {
    for (const row of this.#orphans.all()) this.remove(parseId(row.container_id));
    this.#views.removeOrphans();
  }

  [Symbol.dispose](): void {
    this.#mapped?.[Symbol.dispose]();
  }

  #directory(isMapped: boolean): string {
    if (!isMapped) return this.#parts.layout.snapshots;
    if (this.#mapped === undefined) throw new Error("the storage was opened without a user namespace");
    return this.#mapped.path;
  }

  #mount(parts: OverlayParts): number {
    return mountDetached(parts, this.#parts.layout.snapshots, this.#parts.execRoot);
  }

  #ensureInitLayer(parent: ChainId | undefined): void {
    const [init = ""] = this.#lower(parent);
    const directory = join(this.#parts.layout.snapshots, init);
    if (existsSync(directory)) return;
    // Two folders at least, or the overlay would have nothing to lay over.
    const lower = [...this.#stack(parent), `${emptyLower}/fs`];
    const root = parent === undefined ? undefined : this.#mount({ lower, upper: undefined });
    try {
      makeInitLayer(directory, root);
    } finally {
      if (root !== undefined) closeSync(root);
    }
  }

  #get(containerId: Id): Snapshot {
    const row = this.#find.get(containerId);
    if (row === undefined) throw new Error(`no snapshot of container ${containerId}`);
    return this.#toSnapshot(row);
  }

  #toSnapshot(row: Row): Snapshot {
    return {
      number: row.snapshot_number,
      folder: this.#parts.layout.snapshot(row.snapshot_number),
      parent: row.parent === null ? undefined : parseChainId(row.parent),
    };
  }

  #stack(parent: ChainId | undefined): string[] {
    if (parent === undefined) return [`${emptyLower}/fs`];
    return this.#parts.layers.stack(parent).map(({ snapshotNumber }) => `${snapshotNumber}/fs`);
  }

  /** What a container stands on: the init layer of its image, and the image. */
  #lower(parent: ChainId | undefined): string[] {
    const owner = parent === undefined ? emptyLower : `${this.#parts.layers.get(parent).snapshotNumber}`;
    return [`${owner}/init`, ...this.#stack(parent)];
  }

  #overlayParts(snapshot: Snapshot): OverlayParts {
    return { lower: this.#lower(snapshot.parent), upper: `${snapshot.number}` };
  }
}

const readOnly = ({ lower, upper }: OverlayParts): OverlayParts => ({
  lower: upper === undefined ? lower : [`${upper}/fs`, ...lower],
  upper: undefined,
});
