import { type Digest, parseDigest } from "#base/ids";
import type { Database } from "../database.ts";

/** A blob that a repository is known to hold. */
export interface KnownBlob {
  readonly digest: Digest;
  /** With its registry: `docker.io/library/busybox`. */
  readonly repository: string;
}

type Row = { readonly digest: string; readonly repository: string };

/** Which blob in which repository unpacks to which diffID: what a push need not upload (moby: V2MetadataService). */
export class DistributionTable {
  readonly #add;
  readonly #byDiffId;
  readonly #diffIdOf;
  readonly #repositoriesOf;
  readonly #remove;

  constructor(database: Database) {
    // Replaced, not ignored: the row gets a new id and is the newest again.
    this.#add = database.prepare("INSERT OR REPLACE INTO distribution (diff_id, digest, repository) VALUES (?, ?, ?)");
    this.#byDiffId = database.prepare<[string], Row>(
      "SELECT digest, repository FROM distribution WHERE diff_id = ? ORDER BY id DESC",
    );
    this.#diffIdOf = database.prepare<[string], { diff_id: string }>(
      "SELECT diff_id FROM distribution WHERE digest = ? ORDER BY id DESC LIMIT 1",
    );
    this.#repositoriesOf = database.prepare<[string], { repository: string }>(
      "SELECT repository FROM distribution WHERE digest = ? GROUP BY repository ORDER BY max(id) DESC",
    );
    this.#remove = database.prepare("DELETE FROM distribution WHERE diff_id = ? AND digest = ? AND repository = ?");
  }

  add(diffId: Digest, blob: KnownBlob): void {
    this.#add.run(diffId, blob.digest, blob.repository);
  }

  /** Newest first. */
  byDiffId(diffId: Digest): KnownBlob[] {
    return this.#byDiffId.all(diffId).map((row) => ({ ...row, digest: parseDigest(row.digest) }));
  }

  diffIdOf(blob: Digest): Digest | undefined {
    const row = this.#diffIdOf.get(blob);
    return row === undefined ? undefined : parseDigest(row.diff_id);
  }

  /** Where this blob can be had, newest first. */
  repositoriesOf(blob: Digest): string[] {
    return this.#repositoriesOf.all(blob).map(({ repository }) => repository);
  }

  remove(diffId: Digest, digest: Digest, repository: string): void {
    this.#remove.run(diffId, digest, repository);
  }
}
