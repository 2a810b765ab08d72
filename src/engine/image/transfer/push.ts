import { EngineError } from "#base/errors";
import { type Digest, shortId } from "#base/ids";
import {
  type Access,
  type Descriptor,
  detectMediaType,
  digestOf,
  familiarName,
  familiarReference,
  formatReference,
  type ImageManifest,
  isNameOnly,
  isTagged,
  manifestSizeLimit,
  mediaTypes,
  type Platform,
  parseManifest,
  pushBlob,
  pushManifest,
  type Reference,
  type Repository,
  repositoryName,
  statBlob,
  storedReference,
  type TaggedReference,
  trimReference,
} from "#registry";
import { holdImage } from "../blob-cache.ts";
import type { ImageParts } from "../parts.ts";
import { emitImageEvent, getImage, type Image, imageById, parseStored } from "../resolve.ts";
import { setDigest } from "../tag.ts";
import { emitAux, type ProgressOutput, say, update } from "./progress.ts";
import type { LayerPusher } from "./push-layers.ts";

export interface PushRequest {
  /** Without a tag: all tags of the repository. */
  readonly ref: Reference;
  readonly platform?: Platform;
  readonly access: Access;
}

interface Push extends PushRequest {
  readonly parts: ImageParts;
  readonly pusher: LayerPusher;
  readonly repository: Repository;
  readonly output: ProgressOutput;
  readonly signal: AbortSignal;
}

/** `docker push` (moby distribution/push_v2.go). */
export async function pushImage(
  parts: ImageParts,
  pusher: LayerPusher,
  request: PushRequest,
  output: ProgressOutput,
  signal: AbortSignal,
): Promise<void> {
  const { ref, access, platform } = request;
  if (platform !== undefined) getImage(parts, formatReference(ref), platform);
  say(output, `The push refers to repository [${repositoryName(ref)}]`);
  if (parts.storage.records.references.ofRepository(repositoryName(ref)).length === 0) {
    throw new EngineError("system", `An image does not exist locally with the tag: ${familiarName(ref)}`);
  }
  await parts.registry.push(trimReference(ref), access, signal, (repository) =>
    pushTo({ ...request, parts, pusher, repository, output, signal }),
  );
  emitImageEvent(parts, "push", familiarReference(ref), familiarName(ref));
}

async function pushTo(push: Push): Promise<void> {
  const { parts, ref } = push;
  if (isTagged(ref) && ref.digest === undefined) {
    const id = parts.storage.records.references.find(formatReference(storedReference(ref)));
    const image = id === undefined ? undefined : imageById(parts, id);
    if (image === undefined) throw new EngineError("system", `tag does not exist: ${familiarReference(ref)}`);
    return pushTag(push, ref, image);
  }
  if (!isNameOnly(ref)) throw new EngineError("system", "cannot push a digest reference");
  const named = parts.storage.records.references.ofRepository(repositoryName(ref));
  const tags = named.map(({ reference }) => parseStored(reference)).filter(isTagged);
  if (tags.length === 0) throw new EngineError("system", `no tags to push for ${familiarName(ref)}`);
  for (const tag of tags) await pushTag(push, tag, getImage(parts, formatReference(tag)));
}

async function pushTag(push: Push, ref: TaggedReference, image: Image): Promise<void> {
  const { parts, repository, output, signal } = push;
  using _ = holdImage(parts, image);
  const kept = await keptManifest(push, ref, image);
  using _blobs = parts.storage.content.hold(kept?.layers.map((layer) => layer.digest) ?? []);
  const layers = await pushLayers(push, ref, image, kept);
  const config = await pushConfig(push, image);
  const manifest = kept ?? buildManifest(config, layers);
  await pushManifest(repository, ref.tag, manifest, signal);
  const digest = digestOf(manifest.bytes);
  say(output, `${ref.tag}: digest: ${digest} size: ${manifest.bytes.length}`);
  // It may have been removed while it went out.
  if (imageById(parts, image.id) !== undefined) setDigest(parts, ref, digest, image.id);
  emitAux(output, { Tag: ref.tag, Digest: digest, Size: manifest.bytes.length });
}

/** The top layer is announced first, as moby walks down from it. */
async function pushLayers(push: Push, ref: TaggedReference, image: Image, kept: ImageManifest | undefined) {
  const { parts, pusher, repository, access, output, signal } = push;
  for (const diffId of image.config.rootfs.diffIds.toReversed()) update(output, shortId(diffId), "Preparing");
  const target = { repository, ref, hasCredentials: Object.keys(access.credentials).length > 0 };
  const results = await Promise.allSettled(
    image.chainIds.map((chainId, i) =>
      pusher.push({ ...target, layer: parts.storage.layers.get(chainId), blob: kept?.layers[i] }, output, signal),
    ),
  );
  const failed = results.find((result) => result.status === "rejected");
  signal.throwIfAborted();
  if (failed !== undefined) throw failed.reason;
  return results.filter((result) => result.status === "fulfilled").map((result) => result.value);
}

async function pushConfig({ repository, signal }: Push, image: Image): Promise<Descriptor> {
  const there = await statBlob(repository, image.id, signal);
  return there ?? pushBlob(repository, Buffer.from(image.record.configJson), signal);
}

/** What was pulled goes out again bit for bit under its digest: to where it came from, and elsewhere as long as its blobs are here. */
async function keptManifest(push: Push, ref: TaggedReference, image: Image): Promise<ImageManifest | undefined> {
  const { parts, repository, signal } = push;
  const origins = parts.storage.records.origins.ofImage(image.id);
  const own = origins.find(({ reference }) => reference === formatReference(ref));
  const isThere = async (blob: Digest) => (await statBlob(repository, blob, signal)) !== undefined;
  const ofName = own && (await wholeManifest(parts, image, own.manifest, isThere));
  return ofName ?? wholeManifest(parts, image, image.record.manifestDigest, () => false);
}

/** `isElsewhere` is asked for the blobs that are not here. */
async function wholeManifest(
  parts: ImageParts,
  image: Image,
  digest: Digest | null,
  isElsewhere: (blob: Digest) => Promise<boolean> | false,
): Promise<ImageManifest | undefined> {
  const { content } = parts.storage;
  if (digest === null || !content.has(digest)) return undefined;
  const bytes = await content.readBytes(digest, manifestSizeLimit);
  const manifest = parseManifest(bytes, detectMediaType(bytes));
  if (manifest.kind !== "manifest" || manifest.config.digest !== image.id) return undefined;
  for (const [index, { digest: blob }] of manifest.layers.entries()) {
    if (!content.has(blob) && !isDropped(parts, image, index, blob) && !(await isElsewhere(blob))) return undefined;
  }
  return manifest;
}

/** To save space; it can be had again. */
function isDropped({ storage }: ImageParts, image: Image, index: number, blob: Digest): boolean {
  const chainId = image.chainIds[index];
  const layer = chainId === undefined ? undefined : storage.layers.find(chainId);
  return layer?.blob === blob && layer.fingerprint !== undefined;
}

/** Docker's schema 2, indented as docker/distribution indents it: the digest depends on it. It has no word but for gzip: else OCI's. */
function buildManifest(config: Descriptor, layers: readonly Descriptor[]) {
  const isOci = layers.some((layer) => layer.mediaType !== mediaTypes.ociGzipLayer);
  const mediaType = isOci ? mediaTypes.ociManifest : mediaTypes.dockerManifest;
  const describe = (type: string, { sizeBytes, digest }: Descriptor) => ({ mediaType: type, size: sizeBytes, digest });
  const document = {
    schemaVersion: 2,
    mediaType,
    config: describe(isOci ? mediaTypes.ociConfig : mediaTypes.dockerConfig, config),
    layers: layers.map((layer) => describe(isOci ? layer.mediaType : mediaTypes.dockerLayer, layer)),
  };
  return { mediaType, bytes: Buffer.from(JSON.stringify(document, null, 3)) };
}
