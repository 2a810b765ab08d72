import { EngineError } from "#base/errors";
import { type Digest, isDigest } from "#base/ids";
import {
  familiarReference,
  formatPlatform,
  formatReference,
  imageRunsOn,
  type Platform,
  parseAnyReference,
  platformRank,
  type Reference,
  storedReference,
  withDefaultTag,
} from "#registry";
import { type ChainId, chainIdsOf, type ImageRecord } from "#storage";
import { type ImageConfig, parseImageConfig, platformOf } from "./config/config.ts";
import type { ImageParts } from "./parts.ts";

/** An image as the verbs see it. */
export interface Image {
  readonly id: Digest;
  readonly record: ImageRecord;
  readonly config: ImageConfig;
  /** Bottom first. */
  readonly chainIds: readonly ChainId[];
}

/** By name, by digest, by id or by the first digits of one (moby daemon/images/image.go, GetImage). */
export function findImage(parts: ImageParts, text: string): Image | undefined {
  const ref = parseAnyReference(text);
  if (ref.domain === undefined) return isDigest(ref.digest) ? imageById(parts, ref.digest) : undefined;
  const { references, images } = parts.storage.records;
  const named = references.find(formatReference(storedReference(ref)));
  if (named !== undefined) return imageById(parts, named);
  const hex = text.startsWith("sha256:") ? text.slice("sha256:".length) : text;
  if (!/^[a-f0-9]{1,64}$/.test(hex)) return undefined;
  const [only, other] = images.findByPrefix(hex);
  return only === undefined || other !== undefined ? undefined : imageById(parts, only);
}

export function getImage(parts: ImageParts, text: string, platform?: Platform): Image {
  const image = findImage(parts, text);
  if (image === undefined) throw noSuchImage(text);
  if (platform !== undefined) checkPlatform(parts, image, text, platform);
  return image;
}

export function imageById(parts: ImageParts, id: Digest): Image | undefined {
  const record = parts.storage.records.images.find(id);
  return record === undefined ? undefined : imageOf(record);
}

export function imageOf(record: ImageRecord): Image {
  const config = parseImageConfig(record.configJson);
  return { id: record.id, record, config, chainIds: chainIdsOf(config.rootfs.diffIds) };
}

export function noSuchImage(text: string): EngineError {
  const ref = parseAnyReference(text);
  const name = ref.domain === undefined ? ref.digest : familiarReference(withDefaultTag(ref));
  return new EngineError("notFound", `No such image: ${name}`);
}

/** The image is here and runs on something else: a pull may bring the right one. Where its config errs, an index's word is enough. */
export function checkPlatform(parts: ImageParts, image: Image, text: string, platform: Platform): void {
  const own = platformOf(image.config);
  if (imageRunsOn(platform, own)) return;
  const offered = parts.storage.records.origins.ofImage(image.id).map((origin) => origin.platform);
  if (offered.some((one) => one !== undefined && platformRank(platform, one) !== undefined)) return;
  const [is, wanted] = [formatPlatform(own), formatPlatform(platform)];
  const message = `image with reference ${shownName(text)} was found but its platform (${is}) does not match the specified platform (${wanted})`;
  throw new EngineError("notFound", message);
}

/** A full name is shown short, anything else as it was asked for. */
function shownName(text: string): string {
  const ref = parseAnyReference(text);
  return ref.domain !== undefined && formatReference(ref) === text ? familiarReference(ref) : text;
}

/** The names of an image, sorted by their full form. */
export function namesOf(parts: ImageParts, id: Digest): Reference[] {
  return parts.storage.records.references.ofImage(id).map(parseStored);
}

export function parseStored(reference: string): Reference {
  const ref = parseAnyReference(reference);
  if (ref.domain === undefined) throw new Error(`stored reference has no name: ${reference}`);
  return ref;
}

/** `id` is an id, or for pull and push a name. The image's labels come along, if it is still there to be asked. */
export function emitImageEvent(parts: ImageParts, action: string, id: string, name: string): void {
  imageEvent(parts, action, id, name)();
}

/** Tells, when it is called, of the image as it is now. */
export function imageEvent(parts: ImageParts, action: string, id: string, name: string): () => void {
  const labels = findImage(parts, id)?.config.config.Labels;
  return () => parts.events.emit("image", action, id, { ...labels, ...(name === "" ? {} : { name }) });
}
