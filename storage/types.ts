import type { Readable } from "node:stream";
import type { IdMappings } from "#base/id-mappings";
import type { Digest, Id } from "#base/ids";
import type { Owner, PathBytes } from "#native";
import type { ChainId } from "./layers/chain.ts";

/** A blob in the content store (OCI image spec, descriptor.md). */
export interface Blob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly mediaType: string;
}

export interface IngestOptions {
  /** Checked while the bytes pass: a wrong one fails with code EDIGEST and leaves no trace. */
  readonly digest?: Digest;
  /** Likewise: more or fewer bytes fail with ESIZE, and more are not read. */
  readonly sizeBytes?: number;
  readonly mediaType?: string;
}

/** A blob on its way in, kept over failures and restarts of the daemon. */
export interface ResumableIngest {
  /** How many bytes are here: where the next one belongs. */
  readonly offset: number;
  /**
   * Takes bytes from `offset` on. When the stream fails, those that came stay and `offset` has moved. When it ends, the whole
   * is checked: a wrong digest (EDIGEST) or size (ESIZE) drops everything, and `offset` is 0 again.
   */
  append(stream: Readable, options: { sizeBytes?: number; mediaType?: string; signal?: AbortSignal }): Promise<Blob>;
  discard(): Promise<void>;
  /** Frees the digest for others; what was received stays. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Blobs by digest, in a folder that is an OCI image layout. */
export interface ContentStore {
  has(digest: Digest): boolean;
  find(digest: Digest): Blob | undefined;
  list(): Blob[];
  /** The file of a blob, whether it is there or not. */
  path(digest: Digest): string;
  /** Bytes `start` to `end`, both included, as in a Range header. */
  read(digest: Digest, range?: { start?: number; end?: number }): Readable;
  /** The whole blob. Fails with EFBIG above `maxBytes` and ENOENT when there is none. */
  readBytes(digest: Digest, maxBytes: number): Promise<Buffer>;
  /** Takes a whole blob: checked, synced, named, recorded, in this order. Bytes that are here already are taken and dropped. */
  ingest(stream: Readable | Uint8Array, options?: IngestOptions, signal?: AbortSignal): Promise<Blob>;
  /** Goes on with what an earlier attempt left. Fails with EBUSY while another holds the same digest. */
  resume(digest: Digest): Promise<ResumableIngest>;
  /** Until disposed, collection spares these, here already or not yet. */
  hold(digests: Iterable<Digest>): Disposable;
  /** Whether it was there. Who calls this knows that nothing refers to it; `Storage.collect` finds out by itself. */
  delete(digest: Digest): Promise<boolean>;
  /** Replaces the layout's index.json. */
  writeIndex(manifests: readonly object[]): Promise<void>;
}

/** One layer of an image, unpacked. */
export interface Layer {
  readonly chainId: ChainId;
  readonly diffId: Digest;
  readonly parent: ChainId | undefined;
  /** Of this layer alone, as moby counts: bytes of files (each inode once) and of symlinks' targets. */
  readonly sizeBytes: number;
  readonly snapshotNumber: number;
  /** What it was unpacked from. The blob may have been dropped since. */
  readonly blob: Digest | undefined;
  /** The length of what `tar` gives; undefined for layers of older engines. */
  readonly tarBytes: number | undefined;
  /** Of its files, taken before the blob was dropped. */
  readonly fingerprint: Digest | undefined;
}

export interface ApplyOptions {
  readonly parent: ChainId | undefined;
  /**
   * Resolves when the parent is in the store. Without it the parent must be there already; with it, unpacking begins at once
   * and only the recording waits, so that the layers of one image unpack side by side.
   */
  readonly after?: Promise<unknown>;
  /** Checked while the bytes pass: a wrong one fails with EDIGEST. */
  readonly diffId?: Digest;
  /** A blob of the content store; a stream is ingested first. Plain, gzip or zstd, told by its first bytes. */
  readonly blob: Digest | Readable;
  readonly mediaType?: string;
  /** How many bytes of the blob have been unpacked. */
  readonly onProgress?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

/** Unpacked layers. Each is kept as long as something refers to it: a holder in memory, an image, a container or a layer on top. */
export interface LayerStore {
  find(chainId: ChainId): Layer | undefined;
  get(chainId: ChainId): Layer;
  list(): Layer[];
  /** The stack down to the bottom, `chainId` first. */
  stack(chainId: ChainId): Layer[];
  /** Unpacks one layer. It comes with a hold of the caller's own, to be given back by `release`. Asked for twice, it is done once. */
  apply(options: ApplyOptions): Promise<Layer>;
  /** One more hold. Throws when there is no such layer. */
  retain(chainId: ChainId): void;
  /**
   * Gives a hold back, if there is one. What nothing refers to any more goes, and with it its parents: their chainIDs, top
   * first. Rows now, files in the background.
   */
  release(chainId: ChainId): ChainId[];
  /** The exact uncompressed tar: its sha256 is the diffID. Fails with ENOENT when the blob has been dropped. */
  tar(chainId: ChainId): Readable;
  /**
   * Drops a blob that can be had again, after taking the fingerprint of what was unpacked from it. False when somebody uses it
   * now. `content.ingest` brings it back.
   */
  dropBlob(digest: Digest): Promise<boolean>;
  /** The blob it was unpacked from, if it is still here. */
  blob(chainId: ChainId): Blob | undefined;
  /** moby's GraphDriver.Data. */
  metadata(chainId: ChainId): OverlayMetadata;
}

export interface OverlayMetadata {
  readonly LowerDir?: string;
  readonly MergedDir: string;
  readonly UpperDir: string;
  readonly WorkDir: string;
}

/** How the shim mounts a container's root. */
export interface OverlayMount {
  readonly type: "overlay";
  /** May be longer than the page that mount(2) takes: the shim shortens it. */
  readonly options: string;
}

/** archive.ChangeType of moby: what `docker diff` shows. */
export const changeKinds = { modify: 0, add: 1, delete: 2 } as const;

export interface Change {
  readonly path: string;
  readonly kind: (typeof changeKinds)[keyof typeof changeKinds];
}

/** A snapshot mounted for the engine alone: no other process sees it, and it ends with the last descriptor. */
export interface MountedSnapshot extends AsyncDisposable {
  /** O_PATH descriptor of the root; owned by this object. */
  readonly rootFd: number;
  /** `/proc/self/fd/<rootFd>`: valid in this process only. */
  readonly path: string;
}

/** The writable file systems of containers. */
export interface SnapshotStore {
  /** Throws when the container has one. The parent is kept as long as the snapshot. */
  prepare(containerId: Id, parent: ChainId | undefined): Promise<void>;
  has(containerId: Id): boolean;
  /** `isMapped`: for a user namespace of the ids that the storage was opened with. */
  overlay(containerId: Id, options?: { isMapped?: boolean }): OverlayMount;
  /** moby's GraphDriver.Data. */
  metadata(containerId: Id): OverlayMetadata;
  /** Row now, files in the background. Whether there was one; layers that only it kept go too. */
  remove(containerId: Id): boolean;
  /**
   * Bytes of the writable layer, as `docker ps --size` counts. `isStill`: the container does not run. Then what was measured
   * once holds until the next `overlay` or writable `mount`, over restarts of the engine too. 0 for one that is gone.
   */
  usage(containerId: Id, options?: { isStill?: boolean; signal?: AbortSignal }): Promise<number>;
  /** Bytes of the layers that it stands on, of whatever image they were. */
  bytesBelow(containerId: Id): number;
  /** Sorted by path. */
  changes(containerId: Id, signal?: AbortSignal): Promise<Change[]>;
  /** The writable layer as a layer tar, whiteouts included. Pause the container for a consistent one. */
  diffTar(containerId: Id): Readable;
  /**
   * A writable one only of a container that does not run: two mounts that write to one layer are undefined behaviour (kernel,
   * overlayfs.rst). A read-only one stacks the writable layer as a lower one, and may stand beside the container's own.
   */
  mount(containerId: Id, options?: { isReadOnly?: boolean }): Promise<MountedSnapshot>;
  /** Another image that the container will look into at `destination`; its layers are kept until `removeViews`. */
  prepareView(containerId: Id, destination: string, parent: ChainId | undefined): void;
  /** Read-only. */
  mountView(containerId: Id, destination: string, options?: { isMapped?: boolean }): Promise<MountedSnapshot>;
  /** Of a container that is gone. Idempotent. */
  removeViews(containerId: Id): void;
}

export interface PackOptions {
  /** What the top entry is called; entries below begin with it. Default: the path's last part. "" leaves the top entry out. */
  readonly name?: string;
  /** `overlay`: char devices 0/0 and opaque directories become `.wh.` entries. */
  readonly whiteouts?: "overlay";
  /** Which extended attributes go in: file capabilities only (default, as moby), or user.* and ACLs too. */
  readonly xattrs?: "capability" | "all";
  /** Whole seconds (default, as moby), as they are, or all the epoch: folders that no entry names have the time of unpacking. */
  readonly times?: "seconds" | "nanoseconds" | "none";
  readonly owner?: Owner;
  /** The tree has the host's ids; what the container sees goes in. */
  readonly idMappings?: IdMappings;
  /** Mount points below the top are empty: what another mount shows is left out. */
  readonly isOneFileSystem?: boolean;
  /** Whose tree it is: archives of one container leave threads for the others. */
  readonly key?: string;
}

export interface UnpackOptions {
  /** moby's NoOverwriteDirNonDir: fails with EISDIR or ENOTDIR where a file would replace a directory or the reverse. */
  readonly noOverwriteDirNonDir?: boolean;
  /** Every entry gets this owner instead of its own. */
  readonly owner?: Owner;
  /** The archive has the container's ids, the tree gets the host's. */
  readonly idMappings?: IdMappings;
  readonly key?: string;
  readonly signal?: AbortSignal;
}

/**
 * Tars from and into trees that are not trusted: a container's, running or not. Every step is resolved below the root
 * descriptor, symbolic links included, by openat2 in a worker thread. Descriptors stay the caller's and must stay open until
 * the stream has ended or the promise settled.
 */
export interface Archive {
  /** The tree at `path`; a symbolic link at its end is packed, not followed. A missing path is the stream's error, ENOENT. */
  pack(rootFd: number, path: PathBytes, options?: PackOptions): Readable;
  /** Unpacks a tar (plain, gzip or zstd) below the directory `path`. */
  unpack(rootFd: number, path: PathBytes, tar: Readable, options?: UnpackOptions): Promise<void>;
  /** Copies a directory's attributes and content into another, if that is empty: owners, xattrs, times and links too. */
  populate(targetFd: number, sourceFd: number): Promise<void>;
  /** Bytes of the files below a folder of ours, each inode once. */
  measure(directory: string, signal?: AbortSignal): Promise<number>;
}

/** What `Storage.collect` removed. */
export interface Collected {
  readonly layers: number;
  readonly blobs: number;
  /** Of the blobs. */
  readonly bytes: number;
}
