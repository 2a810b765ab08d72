import type { HistoryItem } from "#api-schema/image";
import type { Digest } from "#base/ids";
import { familiarReference, type Platform } from "#registry";
import type { ImageParts } from "./parts.ts";
import { getImage, type Image, imageById, namesOf } from "./resolve.ts";
import { unixSeconds } from "./time.ts";

/** `docker history`, newest step first (moby daemon/images/image_history.go). */
export function imageHistory(parts: ImageParts, name: string, platform?: Platform): HistoryItem[] {
  const image = getImage(parts, name, platform);
  const steps = stepsOf(parts, image).reverse();
  // Each parent that is still here takes the place of the next "<missing>".
  let id: Digest | null = image.id;
  for (const step of steps) {
    if (id === null) break;
    step.Id = id;
    step.Tags = tagsOf(parts, id);
    id = imageById(parts, id)?.record.parent ?? null;
  }
  return steps;
}

function stepsOf(parts: ImageParts, { config, chainIds }: Image): HistoryItem[] {
  const layers = chainIds.values();
  return config.history.map((entry) => {
    const chainId = entry.isEmptyLayer ? undefined : layers.next().value;
    return {
      Comment: entry.comment,
      Created: unixSeconds(entry.created),
      CreatedBy: entry.createdBy,
      Id: "<missing>",
      Size: chainId === undefined ? 0 : parts.storage.layers.get(chainId).sizeBytes,
      Tags: null,
    };
  });
}

function tagsOf(parts: ImageParts, id: Digest): string[] | null {
  const tags = namesOf(parts, id).filter((ref) => ref.tag !== undefined);
  return tags.length === 0 ? null : tags.map(familiarReference);
}
