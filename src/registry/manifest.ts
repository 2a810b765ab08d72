import { createHash } from "node:crypto";
import { EngineError, messageOf } from "#base/errors";
import { type Digest, isDigest, sha256Digest } from "#base/ids";
import { unmarshalJson } from "#base/json";
import { RegistryError } from "./errors.ts";
import { type Platform, platformRank } from "./platform.ts";
import { checkDigest } from "./reference.ts";

export const mediaTypes = {
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerManifestList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar",
  ociGzipLayer: "application/vnd.oci.image.layer.v1.tar+gzip",
  ociZstdLayer: "application/vnd.oci.image.layer.v1.tar+zstd",
  schema1: "application/vnd.docker.distribution.manifest.v1+json",
  schema1Signed: "application/vnd.docker.distribution.manifest.v1+prettyjws",
} as const;

/** What we ask a registry for; schema 1 is asked for too, so that we can say why it is refused. */
export const acceptedManifests = [
  mediaTypes.ociIndex,
  mediaTypes.ociManifest,
  mediaTypes.dockerManifestList,
  mediaTypes.dockerManifest,
  mediaTypes.schema1Signed,
  mediaTypes.schema1,
].join(", ");

/** Beyond this no registry accepts a manifest (distribution spec, "Pushing Manifests"). */
export const manifestSizeLimit = 4 << 20;
export const configSizeLimit = 8 << 20;
const layerCountLimit = 1000;

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly platform?: Platform;
}

export interface ImageManifest {
  readonly kind: "manifest";
  readonly mediaType: string;
  readonly digest: Digest;
  readonly bytes: Buffer;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

export interface ImageIndex {
  readonly kind: "index";
  readonly mediaType: string;
  readonly digest: Digest;
  readonly bytes: Buffer;
  readonly manifests: readonly Descriptor[];
}

/** Read so that the refusal can name the image. */
export interface OldManifest {
  readonly kind: "schema1";
  readonly mediaType: string;
  readonly digest: Digest;
  readonly bytes: Buffer;
}
export type Manifest = ImageManifest | ImageIndex | OldManifest;

/**
 * Reads a manifest or an index. The media type of the answer, the document's own and its fields must agree: a document
 * that is an image to one reader and an index to another is refused (CVE-2021-41190).
 */
export function parseManifest(bytes: Buffer, contentType: string): Manifest {
  const document = parseObject(bytes);
  const mediaType = contentType.split(";")[0]?.trim().toLowerCase() ?? "";
  const digest = digestOf(bytes);
  switch (mediaType) {
    case mediaTypes.dockerManifest:
    case mediaTypes.ociManifest:
      return { kind: "manifest", mediaType, digest, bytes, ...readManifest(document, mediaType) };
    case mediaTypes.dockerManifestList:
    case mediaTypes.ociIndex:
      return { kind: "index", mediaType, digest, bytes, manifests: readIndex(document, mediaType) };
    default:
      // Whatever it is called, moby takes it for the oldest format, which bears a signature.
      if (!present(document.signatures)) throw malformed("missing signature key");
      return { kind: "schema1", mediaType, digest, bytes };
  }
}

/** Which media type stored bytes have, as they carry no header (moby distribution/manifest.go). */
export function detectMediaType(bytes: Buffer): string {
  const document = parseObject(bytes);
  const own = document.mediaType;
  const has = (name: string) => document[name] !== undefined && document[name] !== null;
  if (typeof own === "string" && own !== "") return own;
  if (has("manifests") === (has("config") || has("layers"))) throw malformed("media-type: cannot determine");
  return has("manifests") ? mediaTypes.ociIndex : mediaTypes.ociManifest;
}

/** The entries of an index that can run here, best first; those that name no platform come last. */
export function selectManifests(index: ImageIndex, wanted: Platform): Descriptor[] {
  return index.manifests
    .map((entry) => ({ entry, rank: entry.platform === undefined ? Infinity : platformRank(wanted, entry.platform) }))
    .filter((one): one is { entry: Descriptor; rank: number } => one.rank !== undefined)
    .sort((a, b) => (a.rank === b.rank ? 0 : a.rank - b.rank))
    .map(({ entry }) => entry);
}

export const digestOf = (bytes: Buffer | string): Digest =>
  sha256Digest(createHash("sha256").update(bytes).digest("hex"));

/** True when the bytes have this digest; it may be of another algorithm than ours. */
export function verifyDigest(bytes: Buffer, digest: string): boolean {
  if (checkDigest(digest) !== undefined) return false;
  const [algorithm = "", hex] = digest.split(":");
  return createHash(algorithm).update(bytes).digest("hex") === hex;
}

const imageConfigTypes = new Set<string>([
  mediaTypes.dockerConfig,
  mediaTypes.ociConfig,
  // Old registries and builders wrote these (docker/docker#22378, #30083).
  "application/octet-stream",
  "application/json",
  "text/html",
  "",
]);

/** A Docker manifest whose config is no image's: a plugin, a chart. */
export function checkConfigType(manifest: ImageManifest): void {
  const { mediaType } = manifest.config;
  if (manifest.mediaType !== mediaTypes.dockerManifest || imageConfigTypes.has(mediaType)) return;
  const kind = mediaType === "application/vnd.docker.plugin.v1+json" ? "plugin" : "unknown";
  throw refused(`Encountered remote ${JSON.stringify(mediaType)}(${kind}) when fetching`);
}

/** Refuses OCI artifacts before anything of them is fetched. */
export function checkSupported(mediaType: string): void {
  const lower = mediaType.toLowerCase();
  if (lower.startsWith("application/vnd.docker.ai.")) {
    const text = 'AI models are not yet supported by the Engine, please use "docker model pull/run" instead';
    throw refused(text);
  }
  const isImage = ["application/vnd.oci.image", "application/vnd.docker"].some(
    (prefix) => lower === prefix || lower.startsWith(`${prefix}.`),
  );
  if (!isImage && !imageConfigTypes.has(lower)) throw refused(`unsupported media type ${mediaType}`);
}

/** Non-distributable layers lie wherever their `urls` point; what is fetched comes from the registry that was asked, or not at all. */
export function checkLayerType(mediaType: string): void {
  checkSupported(mediaType);
  if (/\.(foreign|nondistributable)\./i.test(mediaType)) {
    throw refused(`unsupported media type ${mediaType}: non-distributable layers are not pulled`);
  }
}

export function schema1Refusal(image: string): RegistryError {
  return refused(
    "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. " +
      `Suggest the author of ${image} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. ` +
      "More information at https://docs.docker.com/go/deprecated-image-specs/",
  );
}

function readManifest(document: Document, mediaType: string): Pick<ImageManifest, "config" | "layers"> {
  if (present(document.manifests)) throw malformed("ocimanifest: expected manifest but found index");
  checkOwnType(document, mediaType, "manifest");
  const layers = listOf(document.layers, "layers");
  if (layers.length > layerCountLimit) throw malformed(`manifest has more than ${layerCountLimit} layers`);
  return {
    config: readDescriptor(document.config, "config"),
    layers: layers.map((one) => readDescriptor(one, "layer")),
  };
}

function readIndex(document: Document, mediaType: string): readonly Descriptor[] {
  const isOci = mediaType === mediaTypes.ociIndex;
  // moby words an OCI index that is an image after its fields, a manifest list after its type.
  if (!isOci) checkOwnType(document, mediaType, "manifest list");
  if (present(document.config) || present(document.layers)) throw malformed("index: expected index but found manifest");
  if (isOci) checkOwnType(document, mediaType, "image index");
  return listOf(document.manifests, "manifests").map((one) => readDescriptor(one, "manifest"));
}

/** Docker's types must repeat themselves in the document; OCI's may. */
function checkOwnType(document: Document, mediaType: string, what: string): void {
  const own = typeof document.mediaType === "string" ? document.mediaType : "";
  const isOci = mediaType === mediaTypes.ociManifest || mediaType === mediaTypes.ociIndex;
  if (own === mediaType || (isOci && own === "")) return;
  throw malformed(`${isOci ? "if present, " : ""}mediaType in ${what} should be '${mediaType}' not '${own}'`);
}

function readDescriptor(value: unknown, what: string): Descriptor {
  const fields = objectOf(value, what);
  const digest = typeof fields.digest === "string" ? fields.digest : "";
  if (!isDigest(digest)) {
    const why = checkDigest(digest) ?? "unsupported digest algorithm";
    throw malformed(`could not validate ${what} digest ${JSON.stringify(digest)}: ${why}`);
  }
  const size = fields.size;
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0)
    throw malformed(`invalid size of ${what} ${digest}`);
  const mediaType = typeof fields.mediaType === "string" ? fields.mediaType : "";
  const platform = readPlatform(fields.platform);
  return { mediaType, digest, sizeBytes: size, ...(platform === undefined ? {} : { platform }) };
}

/** `os`, `architecture` and their details, of an index entry or an image's config. */
export function readPlatform(value: unknown): Platform | undefined {
  if (!present(value)) return undefined;
  const fields = objectOf(value, "platform");
  const text = (name: string) => {
    const field = fields[name];
    return typeof field === "string" ? field : "";
  };
  const platform = { os: text("os"), architecture: text("architecture") };
  const [variant, osVersion] = [text("variant"), text("os.version")];
  const features: unknown = fields["os.features"];
  const osFeatures = (Array.isArray(features) ? features : []).filter((feature) => typeof feature === "string");
  const isEmpty = [platform.os, platform.architecture, variant, osVersion].every((part) => part === "");
  if (isEmpty && osFeatures.length === 0) return undefined;
  return {
    ...platform,
    ...(variant === "" ? {} : { variant }),
    ...(osVersion === "" ? {} : { osVersion }),
    ...(osFeatures.length === 0 ? {} : { osFeatures }),
  };
}

type Document = Readonly<Record<string, unknown>>;

function parseObject(bytes: Buffer): Document {
  try {
    return objectOf(unmarshalJson(bytes.toString("utf8")), "manifest");
  } catch (error) {
    if (error instanceof EngineError) throw error;
    throw malformed(messageOf(error), error);
  }
}

function objectOf(value: unknown, what: string): Document {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw malformed(`invalid manifest: ${what} is not an object`);
  return Object.fromEntries(Object.entries(value));
}

function listOf(value: unknown, what: string): readonly unknown[] {
  if (!present(value)) return [];
  if (!Array.isArray(value)) throw malformed(`invalid manifest: ${what} is not a list`);
  return value;
}

const present = (value: unknown): boolean => value !== undefined && value !== null;

/** What it is, we do not take: the client asked for the wrong thing. */
function refused(message: string): RegistryError {
  return new RegistryError("unsupported", message, { kind: "invalidParameter" });
}

/** What it should be, it is not: the registry's fault. */
function malformed(message: string, cause?: unknown): RegistryError {
  return new RegistryError("unexpectedResponse", message, { cause });
}
