import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";
import { EngineError, messageOf } from "#base/errors";
import { type Digest, isDigest } from "#base/ids";
import { goQuote } from "#base/strconv";
import {
  digestOf,
  familiarName,
  familiarReference,
  formatPlatform,
  formatReference,
  isNameOnly,
  isSamePlatform,
  isTagged,
  mediaTypes,
  type Platform,
  parseAnyReference,
  repositoryName,
  storedReference,
  type TaggedReference,
} from "#registry";
import { ensureBlobs, holdImage } from "../blob-cache.ts";
import { platformOf, systemOf } from "../config/config.ts";
import { goJson } from "../config/json.ts";
import { legacyConfigs } from "../config/legacy.ts";
import type { ImageParts } from "../parts.ts";
import { emitImageEvent, findImage, type Image, imageById, parseStored } from "../resolve.ts";
import { parseRfc3339 } from "../time.ts";

interface Saved {
  readonly image: Image;
  readonly tags: TaggedReference[];
}

/** A file of the archive; `open` for those that are not held in memory. */
interface File {
  readonly sizeBytes: number;
  readonly mtime: Date;
  readonly open: () => Readable;
}

const epoch = new Date(0);

/**
 * `docker save`: an OCI image layout that is Docker's own archive at the same time (moby image/tarexport/save.go). The same
 * images give the same bytes. Fails before the first byte for what is not here.
 */
export async function saveImages(
  parts: ImageParts,
  names: readonly string[],
  platform: Platform | undefined,
  signal: AbortSignal,
): Promise<Readable> {
  const saved = selectImages(parts, names);
  for (const { image } of saved) checkSavable(image, platform);
  using held = new DisposableStack();
  for (const { image } of saved) {
    held.use(holdImage(parts, image));
    await ensureBlobs(parts, image.chainIds, signal);
  }
  const files = new Map<string, File>();
  const manifest = [];
  const index = [];
  const repositories: Record<string, Record<string, string>> = {};
  for (const { image, tags } of saved) {
    const sources = await addLayers(parts, image, files, signal);
    addFile(files, blobPath(image.id), image.record.configJson, timeOf(image));
    for (const config of legacyConfigs(image)) addFile(files, blobPath(digestOf(config)), config, timeOf(image));
    const oci = ociManifest(image, sources);
    addFile(files, blobPath(digestOf(oci)), oci, epoch);
    index.push(...indexEntries(oci, tags, index.length > 0));
    manifest.push(archiveEntry(image, tags, sources, saved));
    const top = image.config.rootfs.diffIds.at(-1)?.slice("sha256:".length) ?? "";
    for (const tag of tags) repositories[familiarName(tag)] = { ...repositories[familiarName(tag)], [tag.tag]: top };
    emitImageEvent(parts, "save", image.id, image.id);
  }
  const document = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: nullIfEmpty(index) };
  addFile(files, "index.json", goJson(document), epoch);
  addFile(files, "manifest.json", `${goJson(nullIfEmpty(manifest))}\n`, epoch);
  addFile(files, "oci-layout", '{"imageLayoutVersion": "1.0.0"}', epoch);
  if (Object.keys(repositories).length > 0)
    addFile(files, "repositories", `${goJson(sortKeys(repositories))}\n`, epoch);
  const last = saved.at(-1);
  const archive = packFiles(files, last === undefined ? epoch : timeOf(last.image), signal);
  const kept = held.move();
  archive.once("close", () => kept.dispose());
  return archive;
}

/** The images in the order in which they were asked for, each once with all its names. */
function selectImages(parts: ImageParts, names: readonly string[]): Saved[] {
  const selected = new Map<Digest, Saved>();
  const add = (image: Image, tag?: TaggedReference) => {
    const saved = selected.get(image.id) ?? { image, tags: [] };
    selected.set(image.id, saved);
    const isNew = tag !== undefined && !saved.tags.some((other) => formatReference(other) === formatReference(tag));
    if (isNew) saved.tags.push(tag);
  };
  for (const name of names) {
    const ref = parseName(name);
    if (ref.domain === undefined) {
      add(found(isDigest(ref.digest) ? imageById(parts, ref.digest) : undefined, name));
      continue;
    }
    if (isNameOnly(ref) || familiarName(ref) === "sha256") {
      const named = parts.storage.records.references.ofRepository(repositoryName(ref));
      for (const { reference, imageId } of named) {
        const own = parseStored(reference);
        add(found(imageById(parts, imageId), name), isTagged(own) ? own : undefined);
      }
      if (named.length === 0) add(found(findImage(parts, name), name));
      continue;
    }
    const id = parts.storage.records.references.find(formatReference(storedReference(ref)));
    if (id === undefined) throw new EngineError("notFound", "reference does not exist");
    add(found(imageById(parts, id), name), isTagged(ref) && ref.digest === undefined ? ref : undefined);
  }
  return [...selected.values()];
}

/** moby forgets here whose fault a bad name is: status 500. */
function parseName(name: string): ReturnType<typeof parseAnyReference> {
  try {
    return parseAnyReference(name);
  } catch (error) {
    throw new EngineError("system", messageOf(error), { cause: error });
  }
}

function found(image: Image | undefined, name: string): Image {
  if (image === undefined) throw new EngineError("notFound", `No such image: ${name}`);
  return image;
}

function checkSavable({ config }: Image, platform: Platform | undefined): void {
  if (systemOf(config) !== "linux") throw new EngineError("system", `os ${goQuote(config.os)} is not supported`);
  if (platform !== undefined && !isSamePlatform(platform, platformOf(config))) {
    throw new EngineError("system", `no suitable export target found for platform ${formatPlatform(platform)}`);
  }
  if (config.rootfs.diffIds.length === 0) throw new EngineError("system", "empty export - not implemented");
}

interface LayerSource {
  readonly mediaType: string;
  readonly size: number;
  readonly digest: Digest;
}

/** Layers go in uncompressed, as moby's do. A length that is not on record must be found before the first byte. */
async function addLayers(
  parts: ImageParts,
  image: Image,
  files: Map<string, File>,
  signal: AbortSignal,
): Promise<LayerSource[]> {
  const sources: LayerSource[] = [];
  for (const [index, diffId] of image.config.rootfs.diffIds.entries()) {
    const chainId = image.chainIds[index];
    if (chainId === undefined) throw new Error("image has fewer chainIDs than diffIDs");
    const path = blobPath(diffId);
    const open = () => parts.storage.layers.tar(chainId);
    const { tarBytes } = parts.storage.layers.get(chainId);
    const sizeBytes = files.get(path)?.sizeBytes ?? tarBytes ?? (await lengthOf(open(), signal));
    if (!files.has(path)) files.set(path, { sizeBytes, mtime: timeOf(image), open });
    sources.push({ mediaType: mediaTypes.ociLayer, size: sizeBytes, digest: diffId });
  }
  return sources;
}

async function lengthOf(stream: Readable, signal: AbortSignal): Promise<number> {
  let length = 0;
  for await (const chunk of stream) {
    signal.throwIfAborted();
    length += chunk.length;
  }
  return length;
}

function addFile(files: Map<string, File>, path: string, text: string, mtime: Date): void {
  const bytes = Buffer.from(text);
  files.set(path, { sizeBytes: bytes.length, mtime, open: () => Readable.from([bytes]) });
}

const ociManifest = (image: Image, sources: readonly LayerSource[]): string =>
  goJson({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: image.id, size: Buffer.byteLength(image.record.configJson) },
    layers: sources.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
  });

/** An untagged image stands in the index only when it is the first: moby's own habit, which loaders know. */
function indexEntries(oci: string, tags: readonly TaggedReference[], hasOthers: boolean) {
  const entry = { mediaType: mediaTypes.ociManifest, digest: digestOf(oci), size: Buffer.byteLength(oci) };
  if (tags.length === 0) return hasOthers ? [] : [entry];
  return tags.map((tag) => ({
    ...entry,
    annotations: { "io.containerd.image.name": formatReference(tag), "org.opencontainers.image.ref.name": tag.tag },
  }));
}

function archiveEntry(
  image: Image,
  tags: readonly TaggedReference[],
  sources: readonly LayerSource[],
  saved: readonly Saved[],
) {
  const { parent } = image.record;
  const hasParent = parent !== null && saved.some((other) => other.image.id === parent);
  return {
    Config: blobPath(image.id),
    RepoTags: tags.length === 0 ? null : tags.map(familiarReference),
    Layers: sources.map(({ digest }) => blobPath(digest)),
    ...(hasParent ? { Parent: parent } : {}),
    LayerSources: sortKeys(Object.fromEntries(sources.map((source) => [source.digest, source]))),
  };
}

function packFiles(files: ReadonlyMap<string, File>, blobsTime: Date, signal: AbortSignal): Readable {
  const pack = tar.pack();
  const write = async () => {
    const paths = [...files.keys()].sort();
    if (paths.some((path) => path.startsWith("blobs/"))) {
      pack.entry({ name: "blobs/", type: "directory", mode: 0o755, mtime: blobsTime });
      pack.entry({ name: "blobs/sha256/", type: "directory", mode: 0o755, mtime: epoch });
    }
    for (const path of paths) {
      const file = files.get(path);
      if (file === undefined) continue;
      signal.throwIfAborted();
      const entry = pack.entry({ name: path, size: file.sizeBytes, mode: 0o644, mtime: file.mtime });
      await pipeline(file.open(), entry);
    }
    pack.finalize();
  };
  write().catch((error: unknown) => pack.destroy(error instanceof Error ? error : new Error(String(error))));
  return Readable.from(pack, { objectMode: false });
}

const blobPath = (digest: string): string => `blobs/${digest.replace(":", "/")}`;

function timeOf({ config }: Image): Date {
  return config.created === null ? epoch : new Date(Number(parseRfc3339(config.created) / 1_000_000_000n) * 1000);
}

/** Go's nil slice. */
const nullIfEmpty = <T>(list: readonly T[]): readonly T[] | null => (list.length === 0 ? null : list);

function sortKeys<T>(map: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}
