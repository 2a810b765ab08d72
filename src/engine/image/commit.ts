import type { ContainerConfig } from "#api-schema/container-config";
import { formatTime } from "#base/clock";
import { EngineError } from "#base/errors";
import { type Digest, type Id, parseDigest } from "#base/ids";
import { familiarReference, hostArchitecture, type TaggedReference } from "#registry";
import { mergeImageConfig } from "../container/create/merge.ts";
import { applyChanges } from "../dockerfile/changes.ts";
import { architectureOf, type HistoryEntry, type ImageConfig } from "./config/config.ts";
import { encodeImageConfig } from "./config/json.ts";
import type { ImageParts } from "./parts.ts";
import { emitImageEvent, type Image, imageById } from "./resolve.ts";
import { createImage } from "./store.ts";

/** The diffID of a tar without entries: such a layer is left out. */
const emptyDiffId = parseDigest("sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef");

export interface CommitRequest {
  /** Name or id of the container. */
  readonly container: string;
  readonly pause: boolean;
  readonly ref?: TaggedReference;
  readonly author: string;
  readonly comment: string;
  readonly changes: readonly string[];
  /** What the request's body asks for in place of the container's own config. */
  readonly config?: ContainerConfig;
}

/** A container that stands still, or was asked not to, until disposed. */
export interface CommittedContainer extends AsyncDisposable {
  readonly id: Id;
  readonly imageId: Digest | undefined;
  readonly config: ContainerConfig;
  /** The container's own event: `commit`. */
  emitCommit(attributes: Readonly<Record<string, string>>): void;
}

export interface CommitSource {
  /** Fails as moby does for one that is unknown, dead or being removed. Pauses a running one until disposed, if asked to. */
  openForCommit(container: string, options: { readonly pause: boolean }): Promise<CommittedContainer>;
}

/** `docker commit` (moby daemon/commit.go). */
export async function commitContainer(
  parts: ImageParts,
  source: CommitSource,
  request: CommitRequest,
  signal: AbortSignal,
): Promise<Digest> {
  await using container = await source.openForCommit(request.container, { pause: request.pause });
  const changed = applyChanges(request.config ?? container.config, request.changes);
  const config = mergeImageConfig(changed, container.config);
  const { author, comment, ref } = request;
  const id = await commitSnapshot(parts, { container, config, author, comment, ref }, signal);
  const imageRef = request.ref === undefined ? "" : familiarReference(request.ref);
  container.emitCommit({ comment: request.comment, imageID: id, imageRef });
  return id;
}

export interface SnapshotCommit {
  readonly container: Pick<CommittedContainer, "id" | "imageId" | "config">;
  readonly config: ContainerConfig;
  readonly author: string;
  readonly comment: string;
  readonly ref?: TaggedReference | undefined;
}

/** An image of a container's file system on top of its image; the builder's steps end here too. */
export async function commitSnapshot(parts: ImageParts, commit: SnapshotCommit, signal: AbortSignal): Promise<Digest> {
  const { layers, snapshots } = parts.storage;
  const { container, ref } = commit;
  const parent = parentOf(parts, container.imageId);
  const layer = await layers.apply({ parent: parent?.chainIds.at(-1), blob: snapshots.diffTar(container.id), signal });
  using held = new DisposableStack();
  held.defer(() => void layers.release(layer.chainId));
  const isEmpty = layer.diffId === emptyDiffId;
  const created = formatTime(parts.clock.now());
  const history: HistoryEntry = {
    created,
    createdBy: (container.config.Cmd ?? []).join(" "),
    author: commit.author,
    comment: commit.comment,
    isEmptyLayer: isEmpty,
  };
  const diffIds = [...(parent?.config.rootfs.diffIds ?? []), ...(isEmpty ? [] : [layer.diffId])];
  const child = childConfig(parts, parent?.config, { ...commit, history, diffIds, created });
  const parentId = parent === undefined ? {} : { parent: parent.id };
  const id = createImage(parts, { configJson: encodeImageConfig(child), isBuiltLocally: true, ref, ...parentId });
  emitImageEvent(parts, "create", id, id);
  if (ref !== undefined) emitImageEvent(parts, "tag", id, familiarReference(ref));
  return id;
}

/** The layers of an image that was removed by force are still below the container; what else it said is gone. */
function parentOf(parts: ImageParts, id: Digest | undefined): Image | undefined {
  if (id === undefined) return undefined;
  const parent = imageById(parts, id);
  if (parent !== undefined) return parent;
  throw new EngineError("notFound", `failed to get digest ${id}: no such file or directory`);
}

interface Child extends SnapshotCommit {
  readonly history: HistoryEntry;
  readonly diffIds: readonly Digest[];
  readonly created: string;
}

const childConfig = (parts: ImageParts, parent: ImageConfig | undefined, child: Child): ImageConfig => ({
  created: child.created,
  author: child.author,
  comment: "",
  container: child.container.id,
  containerConfig: child.container.config,
  dockerVersion: parts.engineVersion,
  architecture: parent === undefined ? hostArchitecture : architectureOf(parent),
  variant: parent?.variant ?? "",
  os: "linux",
  osVersion: parent?.osVersion ?? "",
  osFeatures: parent?.osFeatures ?? [],
  config: child.config,
  rootfs: { type: "layers", diffIds: child.diffIds },
  history: [...(parent?.history ?? []), child.history],
});
