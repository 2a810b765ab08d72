/** The filters of `docker volume ls` and `prune` (moby volume/service/convert.go). */

import { EngineError } from "#base/errors";
import { goQuote } from "#base/strconv";
import type { VolumeRecord } from "#storage";
import type { Filters } from "../filters.ts";

type Matches = (volume: VolumeRecord) => boolean;

/** Marks volumes that nobody named; prune takes only these unless told `all`. */
export const anonymousLabel = "com.docker.volume.anonymous";

export function listFilter(filters: Filters, isReferenced: (name: string) => boolean): Matches {
  filters.validate(["dangling", "name", "driver", "label"]);
  const dangling = filters.has("dangling") ? filters.bool("dangling", false) : undefined;
  return (volume) =>
    filters.exact("driver", volume.driver) &&
    filters.pattern("name", volume.name) &&
    filters.labels("label", volume.labels) &&
    (dangling === undefined || dangling !== isReferenced(volume.name));
}

/** Volumes with driver options are left alone: removing them frees nothing here. */
export function pruneFilter(filters: Filters, isReferenced: (name: string) => boolean): Matches {
  const wanted = isAll(filters) ? filters : filters.with("label", anonymousLabel);
  wanted.validate(["label", "label!", "all"]);
  return (volume) =>
    !isReferenced(volume.name) &&
    Object.keys(volume.options ?? {}).length === 0 &&
    wanted.labels("label", volume.labels) &&
    (!wanted.has("label!") || !wanted.labels("label!", volume.labels));
}

function isAll(filters: Filters): boolean {
  const values = filters.get("all");
  const [value] = values;
  if (value === undefined) return false;
  if (values.length > 1) {
    throw new EngineError("invalidParameter", `invalid filter 'all=[${values.join(" ")}]': only one value is expected`);
  }
  if (["1", "t", "T", "true", "TRUE", "True"].includes(value)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(value)) return false;
  throw new EngineError(
    "invalidParameter",
    `invalid filter 'all': strconv.ParseBool: parsing ${goQuote(value)}: invalid syntax`,
  );
}
