import type { ImageSummary } from "#api-schema/image";
import { zeroTime } from "#base/clock";
import { familiarName, familiarReference, type Reference } from "#registry";
import type { ChainId } from "#storage";
import { Filters } from "../filters.ts";
import { parseTimestamp } from "../timestamp.ts";
import type { ImageParts } from "./parts.ts";
import { matchPath } from "./path-match.ts";
import { getImage, type Image, imageOf, namesOf } from "./resolve.ts";
import { parseRfc3339, unixSeconds } from "./time.ts";

export interface ListOptions {
  /** Untagged parents of other images too. */
  readonly all: boolean;
  readonly filters: Filters;
  readonly sharedSize: boolean;
}

const acceptedFilters = ["dangling", "label", "before", "since", "reference", "until"];

/** `docker images`, newest first (moby daemon/images/image_list.go). */
export function listImages(parts: ImageParts, options: ListOptions): ImageSummary[] {
  const { filters } = options;
  filters.validate(acceptedFilters);
  const now = parts.clock.now();
  const danglingOnly = filters.bool("dangling", false);
  const before = createdOf(parts, filters.get("before"));
  const until = filters.get("until").map((value) => parseTimestamp(value, now, "system"));
  const selection: Selection = {
    ...options,
    danglingOnly,
    before: given(earliest([...before, ...until])),
    since: given(latest(createdOf(parts, filters.get("since")))),
    patterns: filters.has("reference") ? filters.get("reference") : undefined,
  };
  const all = parts.storage.records.images.list().map(imageOf);
  const parents = new Set(all.map((image) => image.record.parent));
  const shared = options.sharedSize ? sharedSizes(parts, all) : undefined;
  return all
    .filter((image) => isWanted(image, selection, parents))
    .map((image) => summarize(parts, image, selection, parents))
    .filter((summary) => summary !== undefined)
    .map((summary) => ({ ...summary, SharedSize: shared?.get(summary.Id) ?? -1 }))
    .sort((a, b) => Number(b.Created) - Number(a.Created) || (a.Id < b.Id ? -1 : 1));
}

interface Selection extends ListOptions {
  readonly danglingOnly: boolean;
  readonly before: bigint | undefined;
  readonly since: bigint | undefined;
  readonly patterns: readonly string[] | undefined;
}

function isWanted(image: Image, selection: Selection, parents: ReadonlySet<string | null>): boolean {
  const { before, since, filters } = selection;
  const created = image.config.created === null ? undefined : parseRfc3339(image.config.created);
  if (selection.danglingOnly && parents.has(image.id)) return false;
  if (before !== undefined && (created === undefined || created >= before)) return false;
  if (since !== undefined && (created === undefined || created <= since)) return false;
  return filters.labels("label", image.config.config.Labels);
}

function summarize(
  parts: ImageParts,
  image: Image,
  selection: Selection,
  parents: ReadonlySet<string | null>,
): ImageSummary | undefined {
  const { patterns, filters, danglingOnly } = selection;
  const names = namesOf(parts, image.id).filter(
    (ref) => patterns === undefined || patterns.some((one) => matches(one, ref)),
  );
  const tags = names.filter((ref) => ref.tag !== undefined).map(familiarReference);
  const digests = names.filter((ref) => ref.digest !== undefined).map(familiarReference);
  if (names.length === 0) {
    const isShown = selection.all || !parents.has(image.id);
    if (!isShown || patterns !== undefined || (filters.has("dangling") && !danglingOnly)) return undefined;
  } else if (danglingOnly && tags.length > 0) {
    return undefined;
  }
  return {
    Containers: parts.usage.containersUsing(image.id).length,
    Created: unixSeconds(image.config.created),
    Id: image.id,
    Labels: image.config.config.Labels,
    ParentId: image.record.parent ?? "",
    RepoDigests: digests.length === 0 ? null : digests,
    RepoTags: tags.length === 0 ? null : tags,
    SharedSize: -1,
    Size: image.record.sizeBytes,
    VirtualSize: 0,
  };
}

/** A pattern may match the name with its tag or without. */
const matches = (pattern: string, ref: Reference): boolean =>
  matchPath(pattern, familiarReference(ref)) || matchPath(pattern, familiarName(ref));

function createdOf(parts: ImageParts, names: readonly string[]): bigint[] {
  const times = names.map((name) => getImage(parts, name).config.created);
  return times.filter((time) => time !== null).map(parseRfc3339);
}

const zeroTimeNs = parseRfc3339(zeroTime);
/** Go's zero time is no limit at all. */
const given = (limit: bigint | undefined): bigint | undefined => (limit === zeroTimeNs ? undefined : limit);

const ordered = (times: readonly bigint[]): bigint[] => times.toSorted((a, b) => (a < b ? -1 : 1));
const earliest = (times: readonly bigint[]): bigint | undefined => ordered(times)[0];
const latest = (times: readonly bigint[]): bigint | undefined => ordered(times).at(-1);

/** For each image the bytes of those of its layers that another image has too. */
function sharedSizes(parts: ImageParts, images: readonly Image[]): Map<string, number> {
  const users = new Map<ChainId, number>();
  for (const { chainIds } of images) for (const id of chainIds) users.set(id, (users.get(id) ?? 0) + 1);
  const sizeOf = (id: ChainId) => ((users.get(id) ?? 0) > 1 ? (parts.storage.layers.find(id)?.sizeBytes ?? 0) : 0);
  return new Map(images.map((image) => [image.id, image.chainIds.reduce((sum, id) => sum + sizeOf(id), 0)]));
}

export interface ImageUsageReport {
  /** Each layer of each image once. */
  readonly layersSize: number;
  readonly images: ImageSummary[];
}

/** The images' part of `docker system df`. */
export function imageDiskUsage(parts: ImageParts): ImageUsageReport {
  const images = listImages(parts, { all: false, filters: new Filters(), sharedSize: true });
  const used = new Set(parts.storage.records.images.list().flatMap((record) => imageOf(record).chainIds));
  const layers = parts.storage.layers.list().filter((layer) => used.has(layer.chainId));
  return { layersSize: layers.reduce((sum, layer) => sum + layer.sizeBytes, 0), images };
}
