import type { DistributionInspect, SearchItem } from "#api-schema/image";
import { EngineError } from "#base/errors";
import { JsonSyntaxError, unmarshalJson } from "#base/json";
import { goQuote } from "#base/strconv";
import {
  type Access,
  configSizeLimit,
  fetchBlob,
  fetchManifest,
  formatReference,
  type Manifest,
  mediaTypes,
  type Platform,
  parseAnyReference,
  type Repository,
  readPlatform,
  resolveTag,
  schema1Refusal,
  withDefaultTag,
} from "#registry";
import type { Filters } from "../filters.ts";
import type { ImageParts } from "./parts.ts";

export interface ImageSearch {
  readonly term: string;
  readonly limit: number;
  readonly filters: Filters;
  readonly access: Access;
}

/** `docker search`. Hub no longer says which images are automated: asking for those finds none. */
export async function searchImages(
  parts: ImageParts,
  request: ImageSearch,
  signal: AbortSignal,
): Promise<SearchItem[]> {
  const { filters, term, limit, access } = request;
  filters.validate(["is-automated", "is-official", "stars"]);
  if (filters.bool("is-automated", false)) return [];
  const isOfficial = filters.has("is-official") ? filters.bool("is-official", false) : undefined;
  const stars = Math.max(0, ...filters.get("stars").map(parseStars));
  const found = await parts.registry.search({ term, limit, ...access }, signal);
  return found
    .filter((one) => (isOfficial === undefined || one.isOfficial === isOfficial) && one.starCount >= stars)
    .map((one) => ({
      star_count: one.starCount,
      is_official: one.isOfficial,
      name: one.name,
      is_automated: false,
      description: one.description,
    }));
}

function parseStars(text: string): number {
  if (/^[+-]?\d+$/.test(text)) return Number(text);
  const why = `strconv.Atoi: parsing ${goQuote(text)}: invalid syntax`;
  throw new EngineError("invalidParameter", `invalid filter 'stars=${text}': ${why}`);
}

/** `docker manifest`-like: what a registry has under a name, nothing being pulled. */
export async function inspectDistribution(
  parts: ImageParts,
  name: string,
  access: Access,
  signal: AbortSignal,
): Promise<DistributionInspect> {
  const parsed = parseAnyReference(name);
  if (parsed.domain === undefined) throw new EngineError("system", "no manifest found for full image ID");
  const ref = parsed.digest === undefined ? withDefaultTag(parsed) : parsed;
  return parts.registry.inspect(ref, access, signal, async (repository) => {
    const digest = ref.digest ?? (await resolveTag(repository, ref.tag ?? "latest", signal)).digest;
    const manifest = await fetchManifest(repository, digest, signal);
    if (manifest.kind === "schema1") throw schema1Refusal(formatReference(ref));
    const platforms = await platformsOf(repository, manifest, signal);
    return {
      Descriptor: { mediaType: manifest.mediaType, digest, size: manifest.bytes.length },
      Platforms: platforms.length === 0 ? null : platforms.map(toOci),
    };
  });
}

/** moby looks into the config of Docker's manifests alone, and goes without one that it cannot read. */
async function platformsOf(repository: Repository, manifest: Manifest, signal: AbortSignal): Promise<Platform[]> {
  if (manifest.kind === "index") return manifest.manifests.map((one) => one.platform ?? { os: "", architecture: "" });
  if (manifest.kind !== "manifest" || manifest.mediaType !== mediaTypes.dockerManifest) return [];
  try {
    const config = await fetchBlob(repository, manifest.config.digest, configSizeLimit, signal);
    const platform = readPlatform(unmarshalJson(config.toString("utf8")));
    return platform === undefined || (platform.os === "" && platform.architecture === "") ? [] : [platform];
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof EngineError || error instanceof JsonSyntaxError) return [];
    throw error;
  }
}

const toOci = (platform: Platform) => ({
  architecture: platform.architecture,
  os: platform.os,
  "os.version": platform.osVersion ?? "",
  "os.features": [...(platform.osFeatures ?? [])],
  variant: platform.variant ?? "",
});
