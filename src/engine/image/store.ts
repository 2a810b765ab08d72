import type { Digest } from "#base/ids";
import { digestOf } from "#registry";
import { chainIdsOf } from "#storage";
import { parseImageConfig } from "./config.ts";
import type { ImageParts } from "./parts.ts";

export interface NewImage {
  /** The exact bytes of the config blob: their digest is the image's id. */
  readonly configJson: string;
  readonly parent?: Digest;
  readonly manifestDigest?: Digest;
  readonly isBuiltLocally?: boolean;
}

/** Records an image whose layers are in the store, held by the caller. One that is recorded already stays as it is. */
export function createImage(parts: ImageParts, image: NewImage): Digest {
  const config = parseImageConfig(image.configJson);
  const chainIds = chainIdsOf(config.rootfs.diffIds);
  const id = digestOf(image.configJson);
  parts.storage.records.images.insert({
    id,
    configJson: image.configJson,
    parent: image.parent ?? null,
    createdAt: config.created,
    lastTaggedAt: null,
    sizeBytes: chainIds.reduce((sum, chainId) => sum + parts.storage.layers.get(chainId).sizeBytes, 0),
    topChainId: chainIds.at(-1) ?? null,
    isBuiltLocally: image.isBuiltLocally ?? false,
    manifestDigest: image.manifestDigest ?? null,
  });
  return id;
}
