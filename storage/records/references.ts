import { type Digest, parseDigest } from "#base/ids";
import type { Database } from "../database.ts";

export interface ImageReference {
  /** `docker.io/library/x:tag` or `docker.io/library/x@sha256:…`. */
  readonly reference: string;
  readonly imageId: Digest;
}

type Row = { readonly reference: string; readonly image_id: string };
const toReference = (row: Row): ImageReference => ({ reference: row.reference, imageId: parseDigest(row.image_id) });

/** The names of images. A name has one image, an image any number of names. */
export class ReferenceTable {
  readonly #set;
  readonly #find;
  readonly #delete;
  readonly #ofImage;
  readonly #ofRepository;
  readonly #list;

  constructor(database: Database) {
    this.#set = database.prepare(
      "INSERT INTO image_references (reference, repository, image_id) VALUES (?, ?, ?) ON CONFLICT (reference) DO UPDATE SET image_id = excluded.image_id",
    );
    const columns = "SELECT reference, image_id FROM image_references";
    this.#find = database.prepare<[string], Row>(`${columns} WHERE reference = ?`);
    this.#delete = database.prepare("DELETE FROM image_references WHERE reference = ?");
    this.#ofImage = database.prepare<[string], Row>(`${columns} WHERE image_id = ? ORDER BY reference`);
    this.#ofRepository = database.prepare<[string], Row>(`${columns} WHERE repository = ? ORDER BY reference`);
    this.#list = database.prepare<[], Row>(`${columns} ORDER BY reference`);
  }

  /** Moves the name when another image has it. Throws when there is no such image. */
  set(reference: string, imageId: Digest): void {
    this.#set.run(reference, repositoryOf(reference), imageId);
  }

  find(reference: string): Digest | undefined {
    const row = this.#find.get(reference);
    return row === undefined ? undefined : parseDigest(row.image_id);
  }

  delete(reference: string): boolean {
    return this.#delete.run(reference).changes > 0;
  }

  ofImage(imageId: Digest): string[] {
    return this.#ofImage.all(imageId).map((row) => row.reference);
  }

  ofRepository(repository: string): ImageReference[] {
    return this.#ofRepository.all(repository).map(toReference);
  }

  /** Those that their repository would not find. */
  misplaced(): ImageReference[] {
    return this.list().filter(
      ({ reference }) => !this.ofRepository(repositoryOf(reference)).some((other) => other.reference === reference),
    );
  }

  list(): ImageReference[] {
    return this.#list.all().map(toReference);
  }
}

/** The part before `@` or before the `:` of the tag; a port's colon has a slash behind it. */
function repositoryOf(reference: string): string {
  const at = reference.indexOf("@");
  const name = at === -1 ? reference : reference.slice(0, at);
  const colon = name.lastIndexOf(":");
  return colon > name.lastIndexOf("/") ? name.slice(0, colon) : name;
}
