import { type Digest, parseDigest } from "#base/ids";
import type { Database } from "../database.ts";

/** A blob that a repository is known to hold. */
export interface KnownBlob {
  readonly digest: Digest;
  /** With its registry: `docker.io/library/busybox`. */
  readonly repository: string;
  /** By its bytes, in OCI's words. */
  readonly mediaType: string | undefined;
}

type Row = {
  readonly diff_id: string;
  readonly digest: string;
  readonly repository: string;
  readonly media_type: string | null;
};

const toBlob = ({ digest, repository, media_type }: Row): KnownBlob => ({
  digest: parseDigest(digest),
  repository,
  mediaType: media_type ?? undefined,
});

/** Which blob in which repository unpacks to which diffID: what a push need not upload (moby: V2MetadataService). */
export class DistributionTable {
  readonly #add;
  readonly #byDiffId;
  readonly #find;
  readonly #repositoriesOf;
  readonly #remove;

  constructor(database: Database) {
    // Replaced, not ignored: the row gets a new id and is the newest again.
    this.#add = database.prepare(
      "INSERT OR REPLACE INTO distribution (diff_id, digest, repository, media_type) VALUES (?, ?, ?, ?)",
    );
    this.#byDiffId = database.prepare<[string], Row>("SELECT * FROM distribution WHERE diff_id = ? ORDER BY id DESC");
    this.#find = database.prepare<[string], Row>(
      "SELECT * FROM distribution WHERE digest = ? ORDER BY id DESC LIMIT 1",
    );
    this.#repositoriesOf = database.prepare<[string], { repository: string }>(
      "SELECT repository FROM distribution WHERE digest = ? GROUP BY repository ORDER BY max(id) DESC",
    );
    this.#remove = database.prepare("DELETE FROM distribution WHERE diff_id = ? AND digest = ? AND repository = ?");
  }

  add(diffId: Digest, blob: KnownBlob): void {
    this.#add.run(diffId, blob.digest, blob.repository, blob.mediaType ?? null);
  }

  /** Newest first. */
  byDiffId(diffId: Digest): KnownBlob[] {
    return this.#byDiffId.all(diffId).map(toBlob);
  }

  /** What is known of a blob since it was last pulled or pushed. */
  find(digest: Digest): (KnownBlob & { readonly diffId: Digest }) | undefined {
    const row = this.#find.get(digest);
    return row === undefined ? undefined : { ...toBlob(row), diffId: parseDigest(row.diff_id) };
  }

  /** Where this blob can be had, newest first. */
  repositoriesOf(blob: Digest): string[] {
    return this.#repositoriesOf.all(blob).map(({ repository }) => repository);
  }

  remove(diffId: Digest, digest: Digest, repository: string): void {
    this.#remove.run(diffId, digest, repository);
  }
}
