import { formatTime } from "#base/clock";
import { EngineError, messageOf } from "#base/errors";
import type { Digest } from "#base/ids";
import {
  familiarName,
  familiarReference,
  formatReference,
  type Reference,
  storedReference,
  type TaggedReference,
} from "#registry";
import type { ImageParts } from "./parts.ts";
import { emitImageEvent, getImage, type Image } from "./resolve.ts";
import type { ProgressOutput } from "./transfer/progress.ts";

/** Gives an image a name, and takes it from the one that had it. */
export function tagImage(parts: ImageParts, id: Digest, ref: TaggedReference): void {
  parts.storage.transaction(() => recordTag(parts, id, ref));
  emitImageEvent(parts, "tag", id, familiarReference(ref));
}

/** The silent half: whoever calls this tells of it when it is recorded. */
export function recordTag(parts: ImageParts, id: Digest, ref: TaggedReference): void {
  setName(parts, ref, id);
  parts.storage.records.images.setTagged(id, formatTime(parts.clock.now()));
}

/** moby takes what it cannot read as a name for one that is not here. */
export function getImageToTag(parts: ImageParts, name: string): Image {
  try {
    return getImage(parts, name);
  } catch (cause) {
    throw new EngineError("notFound", messageOf(cause), { cause });
  }
}

export function setName(parts: ImageParts, ref: Reference, id: Digest): void {
  checkNotAmbiguous(ref);
  parts.storage.records.references.set(formatReference(storedReference(ref)), id);
}

/** The name of an image that was loaded; whoever lost it is named. */
export function setLoadedName(parts: ImageParts, ref: TaggedReference, id: Digest, output: ProgressOutput): void {
  const before = parts.storage.records.references.find(formatReference(storedReference(ref)));
  if (before !== undefined && before !== id) {
    const renaming = `renaming the old one with ID ${before} to empty string`;
    output.write({ stream: `The image ${familiarReference(ref)} already exists, ${renaming}\n` });
  }
  setName(parts, ref, id);
}

/** The digest that a registry knows the image by. One that is known already for another image stays there: moby refuses too. */
export function setDigest(parts: ImageParts, ref: Reference, digest: string, id: Digest): void {
  const name = formatReference({ domain: ref.domain, path: ref.path, digest });
  if (parts.storage.records.references.find(name) === undefined) parts.storage.records.references.set(name, id);
}

/** `sha256:abc` must always read as an id. */
export function checkNotAmbiguous(ref: Reference): void {
  if (familiarName(ref) !== "sha256") return;
  throw new EngineError("invalidParameter", "refusing to create an ambiguous tag using digest algorithm as name");
}
