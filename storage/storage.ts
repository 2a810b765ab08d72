import type { Log } from "#base/log";
import type { ContainerTable } from "./records/containers.ts";
import type { DistributionTable } from "./records/distribution.ts";
import type { DocumentTable } from "./records/documents.ts";
import type { ImageTable } from "./records/images.ts";
import type { ReferenceTable } from "./records/references.ts";
import type { Archive, ContentStore, LayerStore, SnapshotStore } from "./types.ts";

export interface Records {
  readonly images: ImageTable;
  readonly references: ReferenceTable;
  readonly distribution: DistributionTable;
  readonly containers: ContainerTable;
  /** A table of JSON documents for any other kind: networks, endpoints, volumes. `kind` is its name in the database. */
  documents<T extends object>(kind: string): DocumentTable<T>;
}

export interface StorageOptions {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly log: Log;
}

export interface Storage extends AsyncDisposable {
  readonly content: ContentStore;
  readonly layers: LayerStore;
  readonly snapshots: SnapshotStore;
  readonly records: Records;
  readonly archive: Archive;
  /** All of it or nothing. `work` must not await. */
  transaction<T>(work: () => T): T;
  /** Drops layers and blobs that no image, container, layer or holder refers to. The number of bytes of the blobs. */
  collect(): Promise<{ blobs: number; layers: number; bytes: number }>;
}

export function openStorage(_options: StorageOptions): Promise<Storage> {
  throw new Error("being written");
}
