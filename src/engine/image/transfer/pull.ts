import { EngineError } from "#base/errors";
import { type Digest, isDigest } from "#base/ids";
import { goQuote } from "#base/strconv";
import {
  type Access,
  bestHostPlatform,
  checkConfigType,
  checkLayerType,
  checkSupported,
  detectMediaType,
  familiarName,
  familiarReference,
  fetchManifest,
  formatPlatform,
  formatReference,
  hasManifest,
  hostPlatform,
  type ImageIndex,
  type ImageManifest,
  isNameOnly,
  listTags,
  type Manifest,
  manifestSizeLimit,
  type Platform,
  parseManifest,
  type Reference,
  RegistryError,
  type Repository,
  resolveTag,
  schema1Refusal,
  selectManifests,
  storedReference,
  withTag,
} from "#registry";
import { parseImageConfig, systemOf } from "../config/config.ts";
import type { ImageParts } from "../parts.ts";
import { checkPlatform, emitImageEvent, findImage } from "../resolve.ts";
import { checkDepth, createImage } from "../store.ts";
import { setDigest, setName } from "../tag.ts";
import { type ProgressOutput, say } from "./progress.ts";
import type { LayerPuller } from "./pull-layers.ts";

export interface PullRequest {
  /** With neither tag nor digest: all tags. */
  readonly ref: Reference;
  readonly platform?: Platform;
  readonly access: Access;
}

interface Pull extends PullRequest {
  readonly parts: ImageParts;
  readonly puller: LayerPuller;
  readonly repository: Repository;
  readonly output: ProgressOutput;
  readonly signal: AbortSignal;
}

/** One reference of a pull, and what the registry says it stands for. */
interface NamedPull extends Pull {
  readonly digest: string;
  /** By the index that led to the manifest. */
  readonly offered?: Platform | undefined;
}

const indexDepthLimit = 3;

/** `docker pull` (moby distribution/pull_v2.go). Errors before the first line are the caller's to answer. */
export async function pullImage(
  parts: ImageParts,
  puller: LayerPuller,
  request: PullRequest,
  output: ProgressOutput,
  signal: AbortSignal,
): Promise<void> {
  const { ref, access } = request;
  await parts.registry.pull(ref, access, signal, (repository) =>
    pullFrom({ ...request, parts, puller, repository, output, signal }),
  );
  emitImageEvent(parts, "pull", familiarReference(ref), familiarName(ref));
}

async function pullFrom(pull: Pull): Promise<void> {
  const { parts, ref, repository, platform, output, signal } = pull;
  const tags = isNameOnly(ref) ? await listTags(repository, signal) : undefined;
  let isNew = tags === undefined && (await pullOne(pull));
  for (const tag of tags ?? []) isNew = (await pullOne({ ...pull, ref: withTag(ref, tag) })) || isNew;
  const news = isNew ? "Downloaded newer image for" : "Image is up to date for";
  say(output, `Status: ${news} ${familiarReference(ref)}`);
  if (platform !== undefined && tags === undefined) warnOfPlatform(parts, ref, platform, output);
}

/** True when the name has a new image. */
async function pullOne(pull: Pull): Promise<boolean> {
  const { ref, repository, output, signal } = pull;
  const target = ref.digest ?? (await resolveTag(repository, ref.tag ?? "latest", signal)).digest;
  const manifest = await getManifest(pull, target);
  if (manifest.kind === "manifest") checkConfigType(manifest);
  say(output, `Pulling from ${ref.path}`, ref.digest === undefined ? ref.tag : formatReference(ref));
  const digest = ref.digest ?? manifest.digest;
  const isNew = await pullManifest({ ...pull, digest }, manifest, 0);
  say(output, `Digest: ${digest}`);
  return isNew;
}

/** True when the name had another image before, or none. */
function nameImage({ parts, ref, digest, offered }: NamedPull, id: Digest, manifest: Digest): boolean {
  const { references, origins } = parts.storage.records;
  const reference = formatReference(storedReference(ref));
  const before = references.find(reference);
  if (ref.digest !== undefined && before !== undefined && before !== id)
    throw new EngineError("conflict", `cannot overwrite digest ${digest}`);
  origins.set(id, { reference, manifest, platform: offered });
  setDigest(parts, ref, digest, id);
  if (ref.digest === undefined) setName(parts, ref, id);
  return before !== id;
}

/** What is here is not fetched again; but for a name with a digest the registry must have it. */
async function getManifest({ parts, ref, repository, signal }: Pull, digest: string): Promise<Manifest> {
  const { content } = parts.storage;
  using _ = content.hold(isDigest(digest) ? [digest] : []);
  if (
    isDigest(digest) &&
    content.has(digest) &&
    (ref.digest === undefined || (await hasManifest(repository, digest, signal)))
  ) {
    const bytes = await content.readBytes(digest, manifestSizeLimit);
    return parseManifest(bytes, detectMediaType(bytes));
  }
  return fetchManifest(repository, digest, signal);
}

async function pullManifest(pull: NamedPull, manifest: Manifest, depth: number): Promise<boolean> {
  switch (manifest.kind) {
    case "schema1":
      throw schema1Refusal(formatReference(pull.ref));
    case "index":
      return pullIndex(pull, manifest, depth);
    case "manifest":
      return pullImageManifest(pull, manifest);
    default:
      return manifest satisfies never;
  }
}

async function pullIndex(pull: NamedPull, index: ImageIndex, depth: number): Promise<boolean> {
  const wanted = pull.platform ?? (await bestHostPlatform());
  const [entry] = selectManifests(index, wanted);
  if (entry === undefined || depth >= indexDepthLimit) {
    const platform = formatPlatform(pull.platform ?? hostPlatform);
    throw new RegistryError("unsupported", `no matching manifest for ${platform} in the manifest list entries`);
  }
  const { tag: _, ...name } = pull.ref;
  const manifest = await getManifest({ ...pull, ref: name }, entry.digest);
  checkSystem(entry.platform);
  return pullManifest({ ...pull, offered: entry.platform }, manifest, depth + 1);
}

function checkSystem(platform: Platform | undefined): void {
  if ((platform?.os ?? "linux").toLowerCase() !== "linux") throw unsupportedSystem();
}

const unsupportedSystem = (prefix = "") =>
  new EngineError("invalidParameter", `${prefix}operating system is not supported`);

async function pullImageManifest(pull: NamedPull, manifest: ImageManifest): Promise<boolean> {
  const { parts, puller, repository, ref, output, signal } = pull;
  const { transaction, records, content } = parts.storage;
  const { digest, mediaType, bytes, config: descriptor } = manifest;
  const { digest: id } = descriptor;
  using _ = content.hold([digest]);
  const isHere = () => records.images.find(id) !== undefined;
  if (isHere() && !content.has(digest)) await content.ingest(bytes, { digest, mediaType });
  if (isHere()) return transaction(() => nameImage(pull, id, digest));
  checkSystem(pull.platform);
  checkSupported(descriptor.mediaType);
  for (const layer of manifest.layers) checkLayerType(layer.mediaType);
  const { json, config } = await fetchConfig(pull, manifest);
  checkDepth(config, "failed to register layer: ");
  const { diffIds } = config.rootfs;
  using _layers = await puller.pull({ repository, ref, layers: manifest.layers, diffIds }, output, signal);
  await content.ingest(bytes, { digest, mediaType });
  return transaction(() => nameImage(pull, createImage(parts, { configJson: json, manifestDigest: digest }), digest));
}

async function fetchConfig({ puller, repository, signal }: Pull, { config }: ImageManifest) {
  try {
    const json = (await puller.config(repository, config.digest, signal)).toString("utf8");
    const image = parseImageConfig(json, "invalid rootfs in image configuration");
    if (systemOf(image).toLowerCase() === "linux") return { json, config: image };
    throw unsupportedSystem(`image operating system ${goQuote(image.os)} cannot be used on this platform: `);
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    const message = `error pulling image configuration: ${error.message}`;
    throw new RegistryError("config", message, { cause: error });
  }
}

/** A single image may be of any platform; it is taken, and said so (docker/docker v20.10.7). */
function warnOfPlatform(parts: ImageParts, ref: Reference, platform: Platform, output: ProgressOutput): void {
  const image = findImage(parts, formatReference(ref));
  if (image === undefined) return;
  try {
    checkPlatform(parts, image, familiarReference(ref), platform);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    say(output, `WARNING: ${error.message}`);
    parts.log.warn({ image: familiarReference(ref) }, "platform of pulled image differs from the one asked for");
  }
}
