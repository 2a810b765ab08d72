import type { Readable } from "node:stream";
import type { Digest } from "#base/ids";
import { mediaTypes } from "#registry";
import { type Compression, detectCompression } from "#storage";
import type { ImageParts } from "../parts.ts";

const layerTypes: Readonly<Partial<Record<Compression, string>>> = {
  none: mediaTypes.ociLayer,
  gzip: mediaTypes.ociGzipLayer,
  zstd: mediaTypes.ociZstdLayer,
};

const magicBytes = 6;

/** What a layer's blob is, whatever a manifest calls it. Undefined: neither here nor on record, or OCI has no word for it. */
export async function layerTypeOf({ storage }: ImageParts, blob: Digest): Promise<string | undefined> {
  const { content, records } = storage;
  using _ = content.hold([blob]);
  if (!content.has(blob)) return records.distribution.find(blob)?.mediaType;
  return layerTypes[await compressionOf(content.read(blob, { end: magicBytes - 1 }))];
}

async function compressionOf(head: Readable): Promise<Compression> {
  return detectCompression(Buffer.concat(await head.toArray()));
}
