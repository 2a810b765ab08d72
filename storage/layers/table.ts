import { type Digest, parseDigest } from "#base/ids";
import type { Database } from "../database.ts";
import type { Layer } from "../types.ts";
import { type ChainId, parseChainId } from "./chain.ts";

interface Row {
  readonly chain_id: string;
  readonly diff_id: string;
  readonly parent: string | null;
  readonly size_bytes: number;
  readonly snapshot_number: number;
  readonly blob: string | null;
  readonly fingerprint: string | null;
  readonly tar_bytes: number | null;
}

const toLayer = (row: Row): Layer => ({
  chainId: parseChainId(row.chain_id),
  diffId: parseDigest(row.diff_id),
  parent: row.parent === null ? undefined : parseChainId(row.parent),
  sizeBytes: row.size_bytes,
  snapshotNumber: row.snapshot_number,
  blob: row.blob === null ? undefined : parseDigest(row.blob),
  tarBytes: row.tar_bytes ?? undefined,
  fingerprint: row.fingerprint === null ? undefined : parseDigest(row.fingerprint),
});

const references = `
  EXISTS (SELECT 1 FROM layers AS child WHERE child.parent = layers.chain_id)
  OR EXISTS (SELECT 1 FROM images WHERE images.top_chain_id = layers.chain_id)
  OR EXISTS (SELECT 1 FROM snapshots WHERE snapshots.parent = layers.chain_id)
  OR EXISTS (SELECT 1 FROM views WHERE views.parent = layers.chain_id)`;

/** The rows of layers, and what refers to them. */
export class LayerTable {
  readonly #database: Database;
  readonly #find;
  readonly #list;
  readonly #insert;
  readonly #replace;
  readonly #setFingerprint;
  readonly #byBlob;
  readonly #delete;
  readonly #isReferenced;
  readonly #unreferenced;
  readonly #usesBlob;

  constructor(database: Database) {
    this.#database = database;
    this.#find = database.prepare<[string], Row>("SELECT * FROM layers WHERE chain_id = ?");
    this.#list = database.prepare<[], Row>("SELECT * FROM layers ORDER BY snapshot_number");
    this.#insert = database.prepare("INSERT INTO layers VALUES (?, ?, ?, ?, ?, ?, NULL, ?)");
    this.#replace = database.prepare(
      "UPDATE layers SET snapshot_number = ?, size_bytes = ?, tar_bytes = ? WHERE chain_id = ?",
    );
    this.#setFingerprint = database.prepare("UPDATE layers SET fingerprint = ? WHERE chain_id = ?");
    this.#byBlob = database.prepare<[string], Row>("SELECT * FROM layers WHERE blob = ?");
    this.#delete = database.prepare("DELETE FROM layers WHERE chain_id = ?");
    this.#isReferenced = database.prepare<[string]>(`SELECT 1 FROM layers WHERE chain_id = ? AND (${references})`);
    this.#unreferenced = database.prepare<[], Row>(`SELECT * FROM layers WHERE NOT (${references})`);
    this.#usesBlob = database.prepare<[string]>("SELECT 1 FROM layers WHERE blob = ?");
  }

  /** All of it or nothing. */
  atomically<T>(work: () => T): T {
    return this.#database.transaction(work)();
  }

  find(chainId: ChainId): Layer | undefined {
    const row = this.#find.get(chainId);
    return row === undefined ? undefined : toLayer(row);
  }

  list(): Layer[] {
    return this.#list.all().map(toLayer);
  }

  insert(layer: Layer): void {
    const { chainId, diffId, parent, sizeBytes, snapshotNumber, blob, tarBytes } = layer;
    this.#insert.run(chainId, diffId, parent ?? null, sizeBytes, snapshotNumber, blob ?? null, tarBytes ?? null);
  }

  /** It was unpacked anew: the files are in another folder from now on. */
  replace(chainId: ChainId, unpacked: Pick<Layer, "snapshotNumber" | "sizeBytes" | "tarBytes">): void {
    this.#replace.run(unpacked.snapshotNumber, unpacked.sizeBytes, unpacked.tarBytes ?? null, chainId);
  }

  setFingerprint(chainId: ChainId, fingerprint: Digest): void {
    this.#setFingerprint.run(fingerprint, chainId);
  }

  byBlob(digest: Digest): Layer[] {
    return this.#byBlob.all(digest).map(toLayer);
  }

  delete(chainId: ChainId): void {
    this.#delete.run(chainId);
  }

  isReferenced(chainId: ChainId): boolean {
    return this.#isReferenced.get(chainId) !== undefined;
  }

  unreferenced(): Layer[] {
    return this.#unreferenced.all().map(toLayer);
  }

  usesBlob(digest: Digest): boolean {
    return this.#usesBlob.get(digest) !== undefined;
  }
}
