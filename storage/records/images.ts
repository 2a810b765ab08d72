import { stringifyExact } from "#base/exact-json";
import type { Digest } from "#base/ids";
import { parseDigest } from "#base/ids";
import type { Database } from "../database.ts";
import { parseDocument } from "./documents.ts";
import type { ImageRecord } from "./image-record.ts";

type Row = { readonly document: string };
type IdRow = { readonly id: string };
type LayoutRow = { readonly id: string; readonly layout_manifest: string | null };

/** Layers whose blob is not in the store, and all that lie on one. */
const incomplete = `
  WITH RECURSIVE incomplete (chain_id) AS (
    SELECT chain_id FROM layers WHERE blob IS NULL OR NOT EXISTS (SELECT 1 FROM blobs WHERE blobs.digest = layers.blob)
    UNION
    SELECT layers.chain_id FROM layers JOIN incomplete ON layers.parent = incomplete.chain_id
  )`;

export interface WholeImage {
  readonly id: Digest;
  readonly layoutManifest: Digest | null;
}

export class ImageTable {
  readonly #insert;
  readonly #update;
  readonly #delete;
  readonly #find;
  readonly #list;
  readonly #byPrefix;
  readonly #children;
  readonly #whole;
  readonly #setLayoutManifest;
  readonly #hasLayoutManifest;

  constructor(database: Database) {
    this.#insert = database.prepare(
      "INSERT INTO images (id, parent, top_chain_id, manifest_digest, document) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    );
    this.#update = database.prepare("UPDATE images SET parent = ?, document = ? WHERE id = ?");
    this.#delete = database.prepare("DELETE FROM images WHERE id = ?");
    this.#find = database.prepare<[string], Row>("SELECT document FROM images WHERE id = ?");
    this.#list = database.prepare<[], Row>("SELECT document FROM images ORDER BY id");
    this.#byPrefix = database.prepare<[string, string, number], IdRow>(
      "SELECT id FROM images WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
    );
    this.#whole = database.prepare<[], LayoutRow>(
      `${incomplete} SELECT id, layout_manifest FROM images
      WHERE top_chain_id IS NULL OR top_chain_id NOT IN (SELECT chain_id FROM incomplete) ORDER BY id`,
    );
    this.#setLayoutManifest = database.prepare("UPDATE images SET layout_manifest = ? WHERE id = ?");
    this.#hasLayoutManifest = database.prepare<[string]>("SELECT 1 FROM images WHERE layout_manifest = ?");
    this.#children = database.prepare<[string], IdRow>("SELECT id FROM images WHERE parent = ? ORDER BY id");
  }

  /** Does nothing when there is a row with this id. Throws when its layer is not in the store. */
  insert(record: ImageRecord): void {
    const { id, parent, topChainId, manifestDigest } = record;
    this.#insert.run(id, parent, topChainId, manifestDigest, stringifyExact(record));
  }

  find(id: Digest): ImageRecord | undefined {
    const row = this.#find.get(id);
    return row === undefined ? undefined : parseDocument<ImageRecord>(row.document);
  }

  get(id: Digest): ImageRecord {
    const record = this.find(id);
    if (record === undefined) throw new Error(`no image with id ${id}`);
    return record;
  }

  list(): ImageRecord[] {
    return this.#list.all().map((row) => parseDocument<ImageRecord>(row.document));
  }

  /** Ids whose hex digits begin with `hex`; two are enough to know that it is ambiguous. */
  findByPrefix(hex: string, limit = 2): Digest[] {
    const from = `sha256:${hex}`;
    return this.#byPrefix.all(from, `${from}g`, limit).map((row) => parseDigest(row.id));
  }

  /** What only the document says. */
  rewrite(record: ImageRecord): void {
    this.#write(record);
  }

  setParent(id: Digest, parent: Digest | null): void {
    this.#write({ ...this.get(id), parent });
  }

  setTagged(id: Digest, lastTaggedAt: string): void {
    this.#write({ ...this.get(id), lastTaggedAt });
  }

  children(id: Digest): Digest[] {
    return this.#children.all(id).map((row) => parseDigest(row.id));
  }

  /** Those with all their blobs here. */
  listWhole(): WholeImage[] {
    return this.#whole.all().map(({ id, layout_manifest: manifest }) => ({
      id: parseDigest(id),
      layoutManifest: manifest === null ? null : parseDigest(manifest),
    }));
  }

  /** The manifest under which the content folder's index names it. While the row lives, so does that blob. */
  setLayoutManifest(id: Digest, manifest: Digest): void {
    this.#setLayoutManifest.run(manifest, id);
  }

  hasLayoutManifest(manifest: Digest): boolean {
    return this.#hasLayoutManifest.get(manifest) !== undefined;
  }

  /** Its references go with it. */
  delete(id: Digest): boolean {
    return this.#delete.run(id).changes > 0;
  }

  #write(record: ImageRecord): void {
    this.#update.run(record.parent, stringifyExact(record), record.id);
  }
}
