import { type Digest, parseDigest } from "#base/ids";
import type { Database } from "../database.ts";
import { parseDocument } from "./documents.ts";

/** How an image came under a name. */
export interface ImageOrigin {
  /** `docker.io/library/busybox:latest`. */
  readonly reference: string;
  /** While the image lives, so does this blob. */
  readonly manifest: Digest;
  /** What the index that led to it says of the manifest; its config may say another. */
  readonly platform: IndexPlatform | undefined;
}

interface IndexPlatform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

type Row = { readonly reference: string; readonly manifest: string; readonly platform: string | null };

/** The manifests of pulled images: one config can have many (moby: the leases on an image's content). */
export class OriginTable {
  readonly #set;
  readonly #ofImage;

  constructor(database: Database) {
    this.#set = database.prepare(
      "INSERT OR REPLACE INTO image_origins (image_id, reference, manifest, platform) VALUES (?, ?, ?, ?)",
    );
    this.#ofImage = database.prepare<[string], Row>("SELECT * FROM image_origins WHERE image_id = ?");
  }

  /** In place of what was known of this name. Throws when there is no such image. */
  set(imageId: Digest, { reference, manifest, platform }: ImageOrigin): void {
    this.#set.run(imageId, reference, manifest, platform === undefined ? null : JSON.stringify(platform));
  }

  ofImage(imageId: Digest): ImageOrigin[] {
    return this.#ofImage.all(imageId).map(({ reference, manifest, platform }) => ({
      reference,
      manifest: parseDigest(manifest),
      platform: platform === null ? undefined : parseDocument<IndexPlatform>(platform),
    }));
  }
}
