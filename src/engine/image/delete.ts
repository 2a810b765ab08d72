import type { DeleteItem } from "#api-schema/image";
import { EngineError } from "#base/errors";
import { type Digest, shortId } from "#base/ids";
import { goQuote } from "#base/strconv";
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
import type { ChainId } from "#storage";
import type { ImageParts } from "./parts.ts";
import { emitImageEvent, getImage, imageEvent, namesOf } from "./resolve.ts";

export interface DeleteOptions {
  readonly force: boolean;
  /** Untagged parents go too, quietly. */
  readonly prune: boolean;
  readonly platform?: Platform;
}

/** What one removal of rows brings with it once it is recorded: events, layers that nobody needs, lines of the answer. */
interface Removal {
  readonly parts: ImageParts;
  /** The tops of images whose rows go: the layers follow with the consequences. */
  readonly held: ChainId[];
  readonly consequences: (() => DeleteItem[])[];
}

/**
 * `docker rmi` (moby daemon/images/image_delete.go). A name is taken away first; the image goes with its last name. An id
 * takes all names of one repository with it. Running containers and child images always keep an image; stopped containers
 * and further names keep it unless forced.
 */
export function deleteImage(parts: ImageParts, name: string, options: DeleteOptions): DeleteItem[] {
  const removal: Removal = { parts, held: [], consequences: [] };
  try {
    parts.storage.transaction(() => removeRows(removal, name, options));
  } catch (error) {
    for (const chainId of removal.held) parts.storage.layers.release(chainId);
    throw error;
  }
  return removal.consequences.flatMap((follow) => follow());
}

function removeRows(removal: Removal, name: string, options: DeleteOptions): void {
  const { parts } = removal;
  const { id } = getImage(parts, name, options.platform);
  if (isIdPrefix(id, name)) {
    if (isSingleName(namesOf(parts, id))) {
      throwConflict(findConflict(parts, id, { ignoresUse: options.force, ignoresNames: true }));
      untagAll(removal, id);
    }
    deleteOne(removal, id, { ...options, isQuiet: false });
  } else if (untag(removal, id, name, options.force)) deleteOne(removal, id, { ...options, isQuiet: true });
}

/** Takes the name away; true when it was the last one. */
function untag(removal: Removal, id: Digest, name: string, force: boolean): boolean {
  const { parts, consequences } = removal;
  const user = parts.usage.containersUsing(id)[0];
  if (!force && user !== undefined && isSingleName(namesOf(parts, id))) {
    throw conflict(
      `unable to remove repository reference ${goQuote(name)} (must force) - container ${shortId(user.id)} is using its referenced image ${shortId(id)}`,
    );
  }
  const ref = withDefaultTag(parseReference(name));
  removeName(removal, id, ref);
  const isOfRepository = (other: Reference) => repositoryName(other) === repositoryName(ref);
  const left = namesOf(parts, id);
  const keepsTag = left.some((other) => other.tag !== undefined && isOfRepository(other));
  if (ref.digest === undefined && !keepsTag) {
    for (const digest of left.filter(isOfRepository)) {
      deleteReference(parts, digest);
      consequences.push(() => [untagged(digest)]);
    }
  }
  return namesOf(parts, id).length === 0;
}

interface Step extends DeleteOptions {
  /** Conflicts end the work without a word. */
  readonly isQuiet: boolean;
}

function deleteOne(removal: Removal, id: Digest, step: Step): void {
  const { parts } = removal;
  const found = findConflict(parts, id, { ignoresUse: step.force, ignoresNames: step.force });
  if (found !== undefined) {
    if (step.isQuiet && (!isDangling(parts, id) || found.isUse)) return;
    throwConflict(found);
  }
  const { parent } = parts.storage.records.images.get(id);
  untagAll(removal, id);
  removeRecord(removal, id);
  if (step.prune && parent !== null) deleteOne(removal, parent, { ...step, force: false, isQuiet: true });
}

/** The layers that nothing else refers to follow, files later. */
function removeRecord({ parts, held, consequences }: Removal, id: Digest): void {
  const { layers, records } = parts.storage;
  const { topChainId } = records.images.get(id);
  if (topChainId !== null) {
    layers.retain(topChainId);
    held.push(topChainId);
  }
  for (const child of records.images.children(id)) records.images.setParent(child, null);
  records.images.delete(id);
  consequences.push(() => {
    const removed = topChainId === null ? [] : layers.release(topChainId);
    emitImageEvent(parts, "delete", id, id);
    return [id, ...removed].map((deleted) => ({ Deleted: deleted, Untagged: "" }));
  });
}

function untagAll(removal: Removal, id: Digest): void {
  for (const ref of namesOf(removal.parts, id)) removeName(removal, id, ref);
}

function removeName({ parts, consequences }: Removal, id: Digest, ref: Reference): void {
  const tell = imageEvent(parts, "untag", id, id);
  deleteReference(parts, ref);
  consequences.push(() => {
    tell();
    return [untagged(ref)];
  });
}

const deleteReference = (parts: ImageParts, ref: Reference): boolean =>
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
