import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { parseDigest } from "#base/ids";
import type { FileContentStore } from "./content/store.ts";
import type { Database } from "./database.ts";
import type { OverlayLayerStore } from "./layers/store.ts";
import type { Layout } from "./layout.ts";
import { takenNumbers } from "./numbers.ts";
import { emptyLower, type OverlaySnapshotStore } from "./snapshots/store.ts";
import type { Trash } from "./trash.ts";
import type { Collected } from "./types.ts";
import type { WalSync } from "./wal-sync.ts";

export interface CollectParts {
  readonly database: Database;
  readonly content: FileContentStore;
  readonly layers: OverlayLayerStore;
}

export interface SweepParts extends CollectParts {
  readonly snapshots: OverlaySnapshotStore;
  readonly layout: Layout;
  readonly trash: Trash;
  readonly wal: WalSync;
}

/** At start: first rows that nothing leads to, then files that no row knows. Nothing else may run yet. */
export async function sweep(parts: SweepParts): Promise<void> {
  const { content, snapshots, trash, wal } = parts;
  // What is in the log may have been written by a daemon that was killed, and be nowhere but in memory.
  await wal.sync();
  await trash.sweep();
  snapshots.removeOrphans();
  await collect(parts);
  await content.sweep(Date.now());
  await sweepSnapshots(parts);
  await trash.clear();
}

async function sweepSnapshots({ database, layout, trash }: SweepParts): Promise<void> {
  const known = new Set([emptyLower, ...takenNumbers(database).map(String)]);
  for (const name of await readdir(layout.snapshots)) {
    if (!known.has(name)) trash.discard(join(layout.snapshots, name));
  }
}

/** Safe at any time: what is in use is held, by a row or in memory. */
export async function collect({ database, content, layers }: CollectParts): Promise<Collected> {
  const removedLayers = layers.collect();
  const rows = database
    .prepare<[], { digest: string; size_bytes: number }>(`
      SELECT digest, size_bytes FROM blobs
      WHERE NOT EXISTS (SELECT 1 FROM layers WHERE layers.blob = blobs.digest)
        AND NOT EXISTS (SELECT 1 FROM images WHERE images.id = blobs.digest)
        AND NOT EXISTS (SELECT 1 FROM images WHERE images.manifest_digest = blobs.digest)
        AND NOT EXISTS (SELECT 1 FROM image_origins WHERE image_origins.manifest = blobs.digest)
        AND NOT EXISTS (SELECT 1 FROM images WHERE images.layout_manifest = blobs.digest)`)
    .all();
  const doomed = rows.filter((row) => !content.isHeld(parseDigest(row.digest)));
  await Promise.all(doomed.map((row) => content.delete(parseDigest(row.digest))));
  return { layers: removedLayers, blobs: doomed.length, bytes: doomed.reduce((sum, row) => sum + row.size_bytes, 0) };
}
