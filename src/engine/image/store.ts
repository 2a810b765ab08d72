import { EngineError } from "#base/errors";
import type { Digest } from "#base/ids";
import { digestOf, type TaggedReference } from "#registry";
import { chainIdsOf } from "#storage";
import { type ImageConfig, parseImageConfig } from "./config/config.ts";
import type { ImageParts } from "./parts.ts";
import { recordTag } from "./tag.ts";

export interface NewImage {
  /** The exact bytes of the config blob: their digest is the image's id. */
  readonly configJson: string;
  readonly parent?: Digest;
  readonly manifestDigest?: Digest;
  readonly isBuiltLocally?: boolean;
  /** Its first name: a crash leaves both or neither. */
  readonly ref?: TaggedReference | undefined;
}

/** All of them must fit into the options of one mount, whatever their numbers: a page. moby's limit is 125. */
const maxDepth = 127;

export function checkDepth({ rootfs }: Pick<ImageConfig, "rootfs">, prefix = ""): void {
  if (rootfs.diffIds.length > maxDepth) throw new EngineError("system", `${prefix}max depth exceeded`);
}

/** Records an image whose layers are in the store, held by the caller. One that is recorded already stays as it is. */
export function createImage(parts: ImageParts, image: NewImage): Digest {
  const config = parseImageConfig(image.configJson);
  checkDepth(config);
  const chainIds = chainIdsOf(config.rootfs.diffIds);
  const id = digestOf(image.configJson);
  const { images } = parts.storage.records;
  parts.storage.transaction(() => {
    images.insert({
      id,
      configJson: image.configJson,
      // It may have been removed meanwhile.
      parent: image.parent !== undefined && images.find(image.parent) !== undefined ? image.parent : null,
      createdAt: config.created,
      lastTaggedAt: null,
      sizeBytes: chainIds.reduce((sum, chainId) => sum + parts.storage.layers.get(chainId).sizeBytes, 0),
      topChainId: chainIds.at(-1) ?? null,
      isBuiltLocally: image.isBuiltLocally ?? false,
      manifestDigest: image.manifestDigest ?? null,
    });
    if (image.ref !== undefined) recordTag(parts, id, image.ref);
  });
  return id;
}
