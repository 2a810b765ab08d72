import type { DeleteItem } from "#api-schema/image";
import { EngineError } from "#base/errors";
import { type Digest, shortId } from "#base/ids";
import {
  familiarReference,
  formatReference,
  type Platform,
  parseReference,
  type Reference,
  repositoryName,
  storedReference,
  withDefaultTag,
} from "#registry";
import type { ImageParts } from "./parts.ts";
import { emitImageEvent, getImage, namesOf } from "./resolve.ts";

export interface DeleteOptions {
  readonly force: boolean;
  /** Untagged parents go too, quietly. */
  readonly prune: boolean;
  readonly platform?: Platform;
}

/**
 * `docker rmi` (moby daemon/images/image_delete.go). A name is taken away first; the image goes with its last name. An id
 * takes all names of one repository with it. Running containers and child images always keep an image; stopped containers
 * and further names keep it unless forced.
 */
export function deleteImage(parts: ImageParts, name: string, options: DeleteOptions): DeleteItem[] {
  const { id } = getImage(parts, name, options.platform);
  const items: DeleteItem[] = [];
  if (isIdPrefix(id, name)) {
    if (isSingleName(namesOf(parts, id))) {
      throwConflict(findConflict(parts, id, { ignoresUse: options.force, ignoresNames: true }));
      untagAll(parts, id, items);
    }
    deleteOne(parts, id, items, { ...options, isQuiet: false });
    return items;
  }
  if (untag(parts, id, name, options.force, items)) deleteOne(parts, id, items, { ...options, isQuiet: true });
  return items;
}

/** Takes the name away; true when it was the last one. */
function untag(parts: ImageParts, id: Digest, name: string, force: boolean, items: DeleteItem[]): boolean {
  const user = parts.usage.containersUsing(id)[0];
  if (!force && user !== undefined && isSingleName(namesOf(parts, id))) {
    throw conflict(
      `unable to remove repository reference ${JSON.stringify(name)} (must force) - container ${shortId(user.id)} is using its referenced image ${shortId(id)}`,
    );
  }
  const ref = withDefaultTag(parseReference(name));
  removeName(parts, ref);
  emitImageEvent(parts, "untag", id, id);
  items.push(untagged(ref));
  const isOfRepository = (other: Reference) => repositoryName(other) === repositoryName(ref);
  const left = namesOf(parts, id);
  const keepsTag = left.some((other) => other.tag !== undefined && isOfRepository(other));
  if (ref.digest === undefined && !keepsTag) {
    for (const digest of left.filter(isOfRepository)) {
      removeName(parts, digest);
      items.push(untagged(digest));
    }
  }
  return namesOf(parts, id).length === 0;
}

interface Step extends DeleteOptions {
  /** Conflicts end the work without a word. */
  readonly isQuiet: boolean;
}

function deleteOne(parts: ImageParts, id: Digest, items: DeleteItem[], step: Step): void {
  const found = findConflict(parts, id, { ignoresUse: step.force, ignoresNames: step.force });
  if (found !== undefined) {
    if (step.isQuiet && (!isDangling(parts, id) || found.isUse)) return;
    throwConflict(found);
  }
  const { parent } = parts.storage.records.images.get(id);
  untagAll(parts, id, items);
  const layers = removeRecord(parts, id);
  emitImageEvent(parts, "delete", id, id);
  items.push(...[id, ...layers].map((deleted) => ({ Deleted: deleted, Untagged: "" })));
  if (step.prune && parent !== null) deleteOne(parts, parent, items, { ...step, force: false, isQuiet: true });
}

/** Rows first: the layers that nothing else refers to follow, files later. */
function removeRecord(parts: ImageParts, id: Digest): readonly string[] {
  const { layers, records } = parts.storage;
  const { topChainId } = records.images.get(id);
  if (topChainId !== null) layers.retain(topChainId);
  parts.storage.transaction(() => {
    for (const child of records.images.children(id)) records.images.setParent(child, null);
    records.images.delete(id);
  });
  return topChainId === null ? [] : layers.release(topChainId);
}

function untagAll(parts: ImageParts, id: Digest, items: DeleteItem[]): void {
  for (const ref of namesOf(parts, id)) {
    removeName(parts, ref);
    emitImageEvent(parts, "untag", id, id);
    items.push(untagged(ref));
  }
}

const removeName = (parts: ImageParts, ref: Reference): boolean =>
  parts.storage.records.references.delete(formatReference(storedReference(ref)));
const untagged = (ref: Reference): DeleteItem => ({ Deleted: "", Untagged: familiarReference(ref) });

interface Conflict {
  readonly message: string;
  readonly isUse: boolean;
}

function findConflict(
  parts: ImageParts,
  id: Digest,
  { ignoresUse, ignoresNames }: { readonly ignoresUse: boolean; readonly ignoresNames: boolean },
): Conflict | undefined {
  const words = (force: string, why: string) => `unable to delete ${shortId(id)} (${force}) - ${why}`;
  if (parts.storage.records.images.children(id).length > 0) {
    return { message: words("cannot be forced", "image has dependent child images"), isUse: false };
  }
  const users = parts.usage.containersUsing(id);
  const running = users.find((user) => user.isRunning);
  if (running !== undefined) {
    const why = `image is being used by running container ${shortId(running.id)}`;
    return { message: words("cannot be forced", why), isUse: true };
  }
  if (!ignoresNames && namesOf(parts, id).length > 0) {
    return { message: words("must be forced", "image is referenced in multiple repositories"), isUse: false };
  }
  const [stopped] = users;
  if (ignoresUse || stopped === undefined) return undefined;
  return {
    message: words("must be forced", `image is being used by stopped container ${shortId(stopped.id)}`),
    isUse: true,
  };
}

function throwConflict(found: Conflict | undefined): void {
  if (found !== undefined) throw conflict(found.message);
}

const conflict = (message: string) => new EngineError("conflict", `conflict: ${message}`);

const isDangling = (parts: ImageParts, id: Digest): boolean =>
  namesOf(parts, id).length === 0 && parts.storage.records.images.children(id).length === 0;

/** All names are of one repository, and at most one is a tag. */
function isSingleName(names: readonly Reference[]): boolean {
  if (names.length <= 1) return names.length === 1;
  const tags = names.filter((ref) => ref.digest === undefined);
  if (tags.length > 1) return false;
  return new Set(names.map(repositoryName)).size === 1;
}

const isIdPrefix = (id: Digest, text: string): boolean =>
  id.startsWith(text) || id.slice("sha256:".length).startsWith(text);
