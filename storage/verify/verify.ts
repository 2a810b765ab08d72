import { closeSync, openSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { errnoOf, messageOf } from "#base/errors";
import { isDigest, parseId } from "#base/ids";
import { FileContentStore } from "../content/store.ts";
import { type Database, databaseFile, requireDatabase, tryLock } from "../database.ts";
import { LayerTable } from "../layers/table.ts";
import { Layout } from "../layout.ts";
import { takenNumbers } from "../numbers.ts";
import type { ImageRecord } from "../records/image-record.ts";
import { ImageTable } from "../records/images.ts";
import { ReferenceTable } from "../records/references.ts";
import { emptyLower } from "../snapshots/store.ts";
import { WorkerPool } from "../workers/pool.ts";
import { Check } from "./check.ts";
import type { Fault } from "./fault.ts";
import { type DocumentRow, imageProblem, isDocument } from "./records.ts";

/**
 * Reads the whole store and tells what is not as it should be: each blob's bytes, each layer's files, and what the rows say of
 * one another. Changes nothing, and may run beside the engine: what the engine removed meanwhile is no fault. Only without the
 * engine are files that no row knows looked for, as it makes files before their rows.
 */
export async function* verifyStore(dataRoot: string): AsyncGenerator<Fault, void> {
  requireDatabase(dataRoot);
  using undo = new DisposableStack();
  const lock = openSync(join(dataRoot, "minidockd.lock"), "r");
  undo.defer(() => closeSync(lock));
  const isAlone = tryLock(lock);
  const database = new Sqlite(databaseFile(dataRoot), { readonly: true });
  undo.defer(() => database.close());
  await using pool = new WorkerPool(Math.max(2, availableParallelism()));
  const store = await readable(() => new StoreReader(database, new Layout(dataRoot), pool));
  if (!(store instanceof StoreReader)) return yield store;
  yield* guarded(store.database());
  yield* guarded(store.records());
  yield* guarded(store.blobs());
  yield* guarded(store.layers());
  yield* guarded(store.images());
  yield* guarded(store.snapshots());
  if (isAlone) yield* guarded(store.orphans());
}

type Faults = AsyncGenerator<Fault, void>;

async function readable<T>(read: () => T | Promise<T>): Promise<T | Fault> {
  try {
    return await read();
  } catch (error) {
    return { kind: "database", problem: messageOf(error) };
  }
}

/** Rows that cannot be read are a fault like others: the rest of the store is looked at all the same. */
async function* guarded(faults: Faults): Faults {
  for (;;) {
    const next = await readable(() => faults.next());
    if ("problem" in next) return yield next;
    if (next.done === true) return;
    yield next.value;
  }
}

class StoreReader {
  readonly #database: Database;
  readonly #layout: Layout;
  readonly #content: FileContentStore;
  readonly #layers: LayerTable;
  readonly #check: Check;

  constructor(database: Database, layout: Layout, pool: WorkerPool) {
    this.#database = database;
    this.#layout = layout;
    const content = new FileContentStore(layout.content, database);
    this.#content = content;
    this.#layers = new LayerTable(database);
    const findBlob = (digest: Parameters<typeof content.find>[0]) => content.find(digest);
    this.#check = new Check({ layout, pool, findBlob, blobPath: (digest) => content.path(digest) });
  }

  async *database(): Faults {
    for (const row of this.#database.prepare<[], { integrity_check: string }>("PRAGMA integrity_check").all()) {
      if (row.integrity_check !== "ok") yield { kind: "database", problem: row.integrity_check };
    }
    const orphans = this.#database.prepare<[], { table: string; parent: string }>("PRAGMA foreign_key_check").all();
    for (const { table, parent } of orphans) {
      yield { kind: "database", problem: `a row of ${table} refers to a row of ${parent} that is not there` };
    }
  }

  /** Documents are JSON, and about what their rows say. */
  async *records(): Faults {
    const all = `
      SELECT 'container' AS kind, id, document FROM containers
      UNION ALL SELECT kind, id, document FROM documents
      UNION ALL SELECT 'image', id, document FROM images`;
    for (const row of this.#database.prepare<[], DocumentRow>(all).iterate()) {
      if (!isDocument(row)) yield { kind: "database", problem: `the record of ${row.kind} ${row.id} cannot be read` };
    }
    for (const { reference } of new ReferenceTable(this.#database).misplaced())
      yield { kind: "database", problem: `the name ${reference} stands with another repository` };
  }

  async *blobs(): Faults {
    for (const blob of this.#content.list()) {
      const problem = await this.#check.blob(blob);
      if (problem !== undefined && this.#content.has(blob.digest)) yield { kind: "blob", digest: blob.digest, problem };
    }
  }

  async *layers(): Faults {
    for (const layer of this.#layers.list()) {
      const problem = await this.#check.layer(layer);
      const now = this.#layers.find(layer.chainId);
      if (problem !== undefined && now?.snapshotNumber === layer.snapshotNumber)
        yield { kind: "layer", chainId: layer.chainId, problem };
      if (now?.blob !== undefined && now.fingerprint === undefined && !this.#content.has(now.blob))
        yield { kind: "layer", chainId: layer.chainId, problem: `its blob ${now.blob} is missing` };
    }
  }

  async *images(): Faults {
    const images = new ImageTable(this.#database);
    for (const image of images.list()) {
      const problem = imageProblem(image, this.#layers) ?? this.#manifestProblem(image);
      if (problem !== undefined && images.find(image.id) !== undefined) yield { kind: "image", id: image.id, problem };
    }
  }

  #manifestProblem({ manifestDigest }: ImageRecord): string | undefined {
    if (manifestDigest === null || this.#content.has(manifestDigest)) return undefined;
    return `its manifest ${manifestDigest} is missing`;
  }

  async *snapshots(): Faults {
    const all = "SELECT container_id AS id, snapshot_number AS number FROM snapshots";
    for (const { id, number } of this.#database.prepare<[], { id: string; number: number }>(all).all()) {
      const folder = this.#layout.snapshot(number);
      const isWhole = (await exists(join(folder, "fs"))) && (await exists(join(folder, "work")));
      const isThere = this.#database.prepare("SELECT 1 FROM snapshots WHERE container_id = ?").get(id) !== undefined;
      if (!isWhole && isThere)
        yield { kind: "snapshot", containerId: parseId(id), problem: "the folder of its writable layer is missing" };
    }
  }

  /** Partial blobs are none: a pull goes on with them. Nor is what lies in `tmp`, which each start empties. */
  async *orphans(): Faults {
    const blobs = join(this.#layout.content, "blobs", "sha256");
    for (const name of await readdir(blobs)) {
      const digest = `sha256:${name}`;
      if (isDigest(digest) && this.#content.has(digest)) continue;
      yield { kind: "orphan", path: join(blobs, name), problem: "no row knows it" };
    }
    const known = new Set([emptyLower, ...takenNumbers(this.#database).map(String)]);
    for (const name of await readdir(this.#layout.snapshots)) {
      if (!known.has(name))
        yield { kind: "orphan", path: join(this.#layout.snapshots, name), problem: "no row knows it" };
    }
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}
