import { mkdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import type { Log } from "#base/log";
import { TreeArchive } from "./archive/archive.ts";
import { FileContentStore } from "./content/store.ts";
import { type Database, openDatabase } from "./database.ts";
import { DiskSync } from "./disk-sync.ts";
import { ForeignFiles } from "./foreign/files.ts";
import { collect, sweep } from "./gc.ts";
import { OverlayLayerStore } from "./layers/store.ts";
import { LayerTable } from "./layers/table.ts";
import { Layout } from "./layout.ts";
import { SnapshotNumbers } from "./numbers.ts";
import { ContainerTable } from "./records/containers.ts";
import { DistributionTable } from "./records/distribution.ts";
import { DocumentTable } from "./records/documents.ts";
import { ImageTable } from "./records/images.ts";
import { OriginTable } from "./records/origins.ts";
import { ReferenceTable } from "./records/references.ts";
import { OverlaySnapshotStore } from "./snapshots/store.ts";
import { Trash } from "./trash.ts";
import type { Archive, Collected, ContentStore, LayerStore, SnapshotStore } from "./types.ts";
import type { WalSync } from "./wal-sync.ts";
import { WorkerPool } from "./workers/pool.ts";

export interface Records {
  readonly images: ImageTable;
  readonly references: ReferenceTable;
  readonly origins: OriginTable;
  readonly distribution: DistributionTable;
  readonly containers: ContainerTable;
  /** A table of JSON documents for any other kind: networks, endpoints, volumes. `kind` is its name in the database. */
  documents<T extends object>(kind: string): DocumentTable<T>;
}

export interface StorageOptions {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly log: Log;
  /** A user namespace, by its path: containers may have one of the same ids. */
  readonly userNamespace?: string | undefined;
}

export interface Storage extends AsyncDisposable {
  readonly content: ContentStore;
  readonly layers: LayerStore;
  readonly snapshots: SnapshotStore;
  readonly records: Records;
  readonly archive: Archive;
  readonly foreign: ForeignFiles;
  /** All of it or nothing. `work` must not await. */
  transaction<T>(work: () => T): T;
  /** When it returns, what was recorded before the call outlives a power cut. */
  sync(): Promise<void>;
  /** Drops layers and blobs that no image, container, layer or holder refers to. */
  collect(): Promise<Collected>;
}

/** Clients may be slow: their archives must not take the threads that pulls need. */
const maxStreams = 32;
/** Threads that may wait for disks that do not answer. */
const maxLookups = 32;

/** What the store is made of, for the code of this module. */
export interface StorageParts extends AsyncDisposable {
  readonly database: Database;
  readonly wal: WalSync;
  readonly layout: Layout;
  readonly pool: WorkerPool;
  readonly trash: Trash;
  readonly disk: DiskSync;
  readonly numbers: SnapshotNumbers;
  readonly table: LayerTable;
  readonly content: FileContentStore;
  readonly layers: OverlayLayerStore;
  readonly archive: TreeArchive;
  readonly foreign: ForeignFiles;
  readonly snapshots: OverlaySnapshotStore;
}

/**
 * Opens the store of one data root, makes it where there is none, and removes what a crash left. Throws when another daemon
 * has it open. Disposing of it waits until the background work has ended.
 */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const parts = await openParts(options);
  const { database, wal, content, layers, snapshots, archive, foreign } = parts;
  return {
    content,
    layers,
    snapshots,
    archive,
    foreign,
    records: openRecords(database, wal),
    transaction: (work) => database.transaction(work)(),
    sync: () => wal.sync(),
    collect: () => collect({ database, content, layers }),
    [Symbol.asyncDispose]: () => parts[Symbol.asyncDispose](),
  };
}

export async function openParts({ dataRoot, execRoot, log, userNamespace }: StorageOptions): Promise<StorageParts> {
  await using undo = new AsyncDisposableStack();
  const layout = new Layout(dataRoot);
  await layout.create();
  await mkdir(execRoot, { recursive: true, mode: 0o710 });
  const { database, wal } = undo.use(openDatabase(dataRoot));
  const pool = undo.use(new WorkerPool(Math.max(2, availableParallelism())));
  const streams = undo.use(new WorkerPool(maxStreams));
  const trash = new Trash({ directory: layout.tmp, pool, wal, log });
  undo.defer(() => trash.settled());
  const disk = new DiskSync(dataRoot, undo.use(new WorkerPool(1)));
  const content = await FileContentStore.open(layout.content, database, wal);
  const numbers = new SnapshotNumbers(database, layout);
  const table = new LayerTable(database);
  const layers = new OverlayLayerStore({ table, content, layout, numbers, pool, trash, disk, log });
  const archive = new TreeArchive(streams);
  const foreign = new ForeignFiles(undo.use(new WorkerPool(maxLookups)));
  const parts = { database, layers, archive, layout, numbers, pool, trash, execRoot, userNamespace };
  const snapshots = undo.use(await OverlaySnapshotStore.open(parts));
  await sweep({ database, wal, content, layers, snapshots, layout, trash });
  const owned = undo.move();
  return { ...parts, wal, table, content, disk, foreign, snapshots, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function openRecords(database: Database, wal: WalSync): Records {
  return {
    images: new ImageTable(database),
    references: new ReferenceTable(database),
    origins: new OriginTable(database),
    distribution: new DistributionTable(database),
    containers: new ContainerTable(database, () => wal.soon()),
    documents: (kind) => new DocumentTable(database, kind),
  };
}
