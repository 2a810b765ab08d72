import type { Digest } from "#base/ids";
import { digestOf, isTagged, mediaTypes, parseManifest } from "#registry";
import type { Blob } from "#storage";
import { goJson } from "./config/json.ts";
import type { ImageParts } from "./parts.ts";
import { type Image, imageById, parseStored } from "./resolve.ts";
import { layerTypeOf } from "./transfer/layer-type.ts";

/**
 * Keeps the content folder an OCI image layout for others: `skopeo copy oci:<data-root>/content:docker.io/library/x:latest …`.
 * Every image whose blobs are all here has a manifest in it, and the index names them. It follows what is recorded by a moment;
 * what a crash left old, the next start writes anew.
 */
export class LayoutIndex {
  readonly #parts: ImageParts;
  #running: Promise<void> | undefined;
  #isStale = false;
  /** What the file says. */
  #written = "";

  constructor(parts: ImageParts) {
    this.#parts = parts;
  }

  /** Images or names have changed. One writes at a time, and nobody waits for it. */
  refresh(): void {
    this.#isStale = true;
    this.#running ??= this.#write();
  }

  async settled(): Promise<void> {
    await this.#running;
  }

  async #write(): Promise<void> {
    while (this.#isStale) {
      this.#isStale = false;
      try {
        await this.#writeOnce();
        // An image may have gone while its manifest was made.
        if (!this.#isStale) await this.#parts.storage.collect();
      } catch (err) {
        this.#parts.log.warn({ err }, "index of the content folder not written");
      }
    }
    this.#running = undefined;
  }

  async #writeOnce(): Promise<void> {
    const entries = await entriesOf(this.#parts);
    const text = JSON.stringify(entries);
    if (text === this.#written) return;
    await this.#parts.storage.content.writeIndex(entries);
    this.#written = text;
  }
}

async function entriesOf(parts: ImageParts): Promise<object[]> {
  const { content, records } = parts.storage;
  const names = tagsByImage(parts);
  const entries: object[] = [];
  for (const { id, layoutManifest } of records.images.listWhole()) {
    const known = layoutManifest === null ? undefined : content.find(layoutManifest);
    const manifest = known !== undefined && content.has(id) ? known : await makeManifest(parts, id);
    if (manifest !== undefined) entries.push(...indexEntries(manifest, names.get(id) ?? []));
  }
  return entries;
}

function tagsByImage(parts: ImageParts): Map<Digest, string[]> {
  const names = new Map<Digest, string[]>();
  for (const { reference, imageId } of parts.storage.records.references.list()) {
    if (isTagged(parseStored(reference))) names.set(imageId, [...(names.get(imageId) ?? []), reference]);
  }
  return names;
}

/** The full name in both annotations: one folder has many `latest`. */
function indexEntries(manifest: Blob, names: readonly string[]): object[] {
  const entry = descriptor(mediaTypes.ociManifest, manifest);
  if (names.length === 0) return [entry];
  return names.map((name) => ({
    ...entry,
    annotations: { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name },
  }));
}

/** The config, and the manifest that it came by if that is OCI's; else one of the same blobs. Undefined: OCI has no word for them. */
async function makeManifest(parts: ImageParts, id: Digest): Promise<Blob | undefined> {
  const { content, records } = parts.storage;
  const image = imageById(parts, id);
  const layers = image === undefined ? undefined : await layersOf(parts, image);
  if (image === undefined || layers === undefined) return undefined;
  const json = Buffer.from(image.record.configJson);
  using _config = content.hold([id]);
  const blob = await content.ingest(json, { digest: id, mediaType: mediaTypes.ociConfig });
  const config = descriptor(mediaTypes.ociConfig, blob);
  const mediaType = mediaTypes.ociManifest;
  const own = await ownManifest(parts, image, layers);
  const bytes = own ?? Buffer.from(goJson({ schemaVersion: 2, mediaType, config, layers }));
  using _manifest = content.hold([digestOf(bytes)]);
  const manifest = await content.ingest(bytes, { mediaType });
  records.images.setLayoutManifest(id, manifest.digest);
  return manifest;
}

/** What the store calls a blob says how it came, not what it is here. */
const descriptor = (mediaType: string, { digest, sizeBytes }: Blob) => ({ mediaType, digest, size: sizeBytes });
type Descriptor = ReturnType<typeof descriptor>;

async function layersOf(parts: ImageParts, { chainIds }: Image): Promise<Descriptor[] | undefined> {
  const { storage } = parts;
  const layers: Descriptor[] = [];
  for (const chainId of chainIds) {
    const blob = storage.layers.find(chainId) === undefined ? undefined : storage.layers.blob(chainId);
    if (blob === undefined) return undefined;
    const mediaType = await layerTypeOf(parts, blob.digest);
    if (mediaType === undefined) return undefined;
    layers.push(descriptor(mediaType, blob));
  }
  return layers;
}

async function ownManifest({ storage }: ImageParts, image: Image, layers: readonly Descriptor[]) {
  const digest = image.record.manifestDigest;
  const known = digest === null ? undefined : storage.content.find(digest);
  if (known?.mediaType !== mediaTypes.ociManifest) return undefined;
  const bytes = await storage.content.readBytes(known.digest, known.sizeBytes);
  const manifest = parseManifest(bytes, known.mediaType);
  const isOfTheseBlobs =
    manifest.kind === "manifest" && manifest.layers.every((layer, at) => layer.digest === layers[at]?.digest);
  return isOfTheseBlobs ? bytes : undefined;
}
