import { EngineError } from "#base/errors";
import { type Digest, isDigest } from "#base/ids";
import { parseJson, toPlain } from "#base/json";
import { goQuote } from "#base/strconv";
import {
  configSizeLimit,
  detectMediaType,
  familiarReference,
  hostPlatform,
  isSamePlatform,
  isTagged,
  type Manifest,
  manifestSizeLimit,
  mediaTypes,
  type Platform,
  parseManifest,
  parseReference,
  selectManifests,
  type TaggedReference,
} from "#registry";
import { readList } from "../../fields.ts";
import { type ImageConfig, parseImageConfig, platformOf, systemOf } from "../config/config.ts";
import type { ImageParts } from "../parts.ts";
import { emitImageEvent, imageById } from "../resolve.ts";
import { checkDepth, createImage } from "../store.ts";
import { setLoadedName } from "../tag.ts";
import type { ProgressMessage, ProgressOutput } from "../transfer/progress.ts";
import { ArchiveFiles } from "./files.ts";
import { type Load, type LoadRequest, loadLayers } from "./load-layers.ts";
import { loadLegacy } from "./load-legacy.ts";

/** One image of an archive: paths in it, and names. */
interface ArchivedImage {
  readonly config: string;
  readonly layers: readonly string[];
  readonly tags: readonly string[];
  readonly parent: Digest | undefined;
}

/** `docker load`: archives of `docker save`, old and new, and OCI image layouts (moby image/tarexport/load.go). */
export async function loadImages(
  parts: ImageParts,
  request: LoadRequest,
  output: ProgressOutput,
  signal: AbortSignal,
): Promise<void> {
  using files = await ArchiveFiles.read(parts.storage.content, request.archive, signal);
  const load: Load = { ...request, parts, files, output, signal };
  if (!files.has("manifest.json") && !files.has("index.json")) return loadLegacy(load);
  const images = files.has("manifest.json") ? await readManifest(files) : await readLayout(load);
  const loaded: Digest[] = [];
  let isTagged = false;
  for (const image of images) {
    const id = await loadImage(load, image);
    if (id === undefined) continue;
    loaded.push(id);
    // As in moby, the last image decides whether ids are named.
    isTagged = image.tags.length > 0;
  }
  linkParents(parts, images, loaded);
  if (!isTagged) output.write(streamOf(loaded.map((id) => `Loaded image ID: ${id}\n`).join("")));
}

/** Nothing at all is an empty line to moby. */
const streamOf = (stream: string): ProgressMessage => (stream === "" ? {} : { stream });

async function loadImage(load: Load, image: ArchivedImage): Promise<Digest | undefined> {
  const { parts, output, platform } = load;
  const configJson = await load.files.readText(image.config, configSizeLimit);
  const config = parseImageConfig(configJson);
  if (systemOf(config) !== "linux") throw new EngineError("system", `cannot load ${systemOf(config)} image on linux`);
  if (platform !== undefined && !isSamePlatform(platform, platformOf(config))) return undefined;
  using held = new DisposableStack();
  checkDepth(config);
  await loadLayers(load, image.layers, config.rootfs.diffIds, held);
  const id = parts.storage.transaction(() => {
    const created = createImage(parts, { configJson });
    for (const tag of image.tags) {
      const ref = parseTag(tag);
      setLoadedName(parts, ref, created, output);
      output.write({ stream: `Loaded image: ${familiarReference(ref)}\n` });
    }
    return created;
  });
  emitImageEvent(parts, "load", id, id);
  return id;
}

function parseTag(text: string): TaggedReference {
  const ref = parseReference(text);
  if (isTagged(ref)) return ref;
  throw new EngineError("system", `invalid tag ${goQuote(text)}`);
}

/** Parent links of the archive hold between images that came together, if their histories agree. */
function linkParents(parts: ImageParts, images: readonly ArchivedImage[], loaded: readonly Digest[]): void {
  for (const [index, id] of loaded.entries()) {
    const parent = images[index]?.parent;
    if (parent === undefined || parent === id || !loaded.includes(parent)) continue;
    const [child, base] = [imageById(parts, id), imageById(parts, parent)];
    const isNext = child !== undefined && base !== undefined && isValidParent(child.config, base.config);
    if (!isNext) throw new EngineError("system", `image ${parent} is not a valid parent for ${id}`);
    parts.storage.records.images.setParent(id, parent);
  }
}

function isValidParent(child: ImageConfig, parent: ImageConfig): boolean {
  if (child.history.length === 0 && parent.history.length === 0) return true;
  const shared = child.history.slice(0, parent.history.length);
  return (
    child.history.length === parent.history.length + 1 && JSON.stringify(shared) === JSON.stringify(parent.history)
  );
}

async function readManifest(files: ArchiveFiles): Promise<ArchivedImage[]> {
  // What follows the value is ignored: moby reads with a decoder.
  const list = toPlain(parseJson(await files.readText("manifest.json", configSizeLimit)).value);
  if (list === null) throw new EngineError("system", "invalid manifest, manifest cannot be null (but can be [])");
  return readList(list, "tarexport.manifestItem").map((item) => {
    const parent = item.text("Parent");
    return {
      config: item.text("Config"),
      layers: item.texts("Layers") ?? [],
      tags: item.texts("RepoTags") ?? [],
      parent: isDigest(parent) ? parent : undefined,
    };
  });
}

/** An OCI image layout without Docker's own index: what skopeo and buildx write. */
async function readLayout({ files, platform }: Load): Promise<ArchivedImage[]> {
  const text = await files.readText("index.json", manifestSizeLimit);
  const index = parseManifest(Buffer.from(text), mediaTypes.ociIndex);
  const names = annotatedNames(JSON.parse(text));
  const images: ArchivedImage[] = [];
  for (const [at, entry] of index.kind === "index" ? index.manifests.entries() : []) {
    const manifest = await readBlob(files, entry.digest, platform ?? hostPlatform);
    if (manifest?.kind !== "manifest") continue;
    const name = names[at];
    images.push({
      config: blobPath(manifest.config.digest),
      layers: manifest.layers.map((layer) => blobPath(layer.digest)),
      tags: name === undefined ? [] : [name],
      parent: undefined,
    });
  }
  return images;
}

async function readBlob(files: ArchiveFiles, digest: Digest, platform: Platform): Promise<Manifest | undefined> {
  const bytes = Buffer.from(await files.readText(blobPath(digest), manifestSizeLimit));
  const manifest = parseManifest(bytes, detectMediaType(bytes));
  if (manifest.kind !== "index") return manifest;
  const [entry] = selectManifests(manifest, platform).filter((one) => files.has(blobPath(one.digest)));
  return entry === undefined ? undefined : readBlob(files, entry.digest, platform);
}

const blobPath = (digest: Digest): string => `blobs/${digest.replace(":", "/")}`;

/** The full name stands in containerd's annotation; OCI's own may hold a bare tag, which names nothing. */
function annotatedNames(index: unknown): (string | undefined)[] {
  const list: unknown = typeof index === "object" && index !== null ? Reflect.get(index, "manifests") : undefined;
  return (Array.isArray(list) ? list : []).map((entry: unknown) => {
    const annotations: unknown =
      typeof entry === "object" && entry !== null ? Reflect.get(entry, "annotations") : undefined;
    if (typeof annotations !== "object" || annotations === null) return undefined;
    const [name, ref]: unknown[] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"].map((key) =>
      Reflect.get(annotations, key),
    );
    if (typeof name === "string") return name;
    return typeof ref === "string" && ref.includes(":") ? ref : undefined;
  });
}
