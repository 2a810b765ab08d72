import { setImmediate as nextTurn } from "node:timers/promises";
import type { DeleteItem, ImagesPruneReport } from "#api-schema/image";
import { isKind } from "#base/errors";
import { formatReference } from "#registry";
import type { Filters } from "../filters.ts";
import { matchesPruneLabels, parseUntil } from "../prune-filters.ts";
import { deleteImage } from "./delete.ts";
import type { ImageParts } from "./parts.ts";
import { type Image, imageOf, namesOf } from "./resolve.ts";
import { parseRfc3339 } from "./time.ts";

const acceptedFilters = ["dangling", "label", "label!", "until"];

/** `docker image prune`: images without a tag, or with `dangling=false` all that no container uses. */
export async function pruneImages(
  parts: ImageParts,
  filters: Filters,
  signal: AbortSignal,
): Promise<ImagesPruneReport> {
  filters.validate(acceptedFilters);
  const danglingOnly = filters.bool("dangling", true);
  const until = parseUntil(filters, parts.clock, "system");
  const sizes = new Map<string, number>(parts.storage.layers.list().map((layer) => [layer.chainId, layer.sizeBytes]));
  const all = parts.storage.records.images.list().map(imageOf);
  const parents = new Set(all.map((image) => image.record.parent));
  const deleted: DeleteItem[] = [];
  for (const image of all) {
    if (signal.aborted) break;
    if (parents.has(image.id) && (danglingOnly || namesOf(parts, image.id).length === 0)) continue;
    if (!isWanted(image, filters, until)) continue;
    deleted.push(...pruneOne(parts, image, danglingOnly));
    // Of a thousand images others must not wait for the last.
    await nextTurn();
  }
  const freed = deleted.reduce((sum, item) => sum + (sizes.get(item.Deleted) ?? 0), 0);
  parts.events.emit("image", "prune", "", { reclaimed: String(freed) });
  return { ImagesDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: freed };
}

function isWanted({ config }: Image, filters: Filters, until: bigint | undefined): boolean {
  if (until !== undefined && (config.created === null || parseRfc3339(config.created) > until)) return false;
  return matchesPruneLabels(filters, config.config.Labels);
}

function pruneOne(parts: ImageParts, image: Image, danglingOnly: boolean): DeleteItem[] {
  const names = namesOf(parts, image.id);
  if (names.length === 0) return tryDelete(parts, image.id.slice("sha256:".length));
  if (danglingOnly && names.some((ref) => ref.tag !== undefined)) return [];
  return names.flatMap((ref) => tryDelete(parts, formatReference(ref)));
}

/** An image in use stays; that is no failure of a prune. */
function tryDelete(parts: ImageParts, name: string): DeleteItem[] {
  try {
    return deleteImage(parts, name, { force: false, prune: true });
  } catch (error) {
    if (!isKind(error, "conflict") && !isKind(error, "notFound")) {
      parts.log.warn({ image: name, err: error }, "image not pruned");
    }
    return [];
  }
}
