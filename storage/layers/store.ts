/*
 * The order for a layer: unpack into a folder that no row knows; syncfs; row. Removed in reverse: row, then the folder is
 * renamed away and emptied in the background. References are rows (images, layers on top, containers) and holds in memory:
 * there is no counter that a crash could leave wrong.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { Digest } from "#base/ids";
import type { Log } from "#base/log";
import { decompress } from "../archive/compression.ts";
import type { FileContentStore } from "../content/store.ts";
import type { DiskSync } from "../disk-sync.ts";
import type { Layout } from "../layout.ts";
import type { SnapshotNumbers } from "../numbers.ts";
import type { Trash } from "../trash.ts";
import type { ApplyOptions, Blob, Layer, LayerStore, OverlayMetadata } from "../types.ts";
import type { WorkerPool } from "../workers/pool.ts";
import { type ChainId, chainIdOf } from "./chain.ts";
import { SharedWork } from "./shared-work.ts";
import type { LayerTable } from "./table.ts";

export interface LayerStoreParts {
  readonly table: LayerTable;
  readonly content: FileContentStore;
  readonly layout: Layout;
  readonly numbers: SnapshotNumbers;
  readonly pool: WorkerPool;
  readonly trash: Trash;
  readonly disk: DiskSync;
  readonly log: Log;
}

interface Unpacking {
  readonly parent: ChainId | undefined;
  readonly diffId: Digest | undefined;
  readonly blob: Digest;
  readonly after: Promise<unknown> | undefined;
}

export class OverlayLayerStore implements LayerStore {
  readonly #parts: LayerStoreParts;
  readonly #holds = new Map<ChainId, number>();
  readonly #running = new Map<string, SharedWork<Layer>>();

  constructor(parts: LayerStoreParts) {
    this.#parts = parts;
  }

  find(chainId: ChainId): Layer | undefined {
    return this.#parts.table.find(chainId);
  }

  get(chainId: ChainId): Layer {
    const layer = this.find(chainId);
    if (layer === undefined) throw new Error(`no layer with chainID ${chainId}`);
    return layer;
  }

  list(): Layer[] {
    return this.#parts.table.list();
  }

  stack(chainId: ChainId): Layer[] {
    const layers = [this.get(chainId)];
    for (let parent = layers[0]?.parent; parent !== undefined; parent = layers.at(-1)?.parent)
      layers.push(this.get(parent));
    return layers;
  }

  async apply(options: ApplyOptions): Promise<Layer> {
    const { parent, signal } = options;
    signal?.throwIfAborted();
    // Awaited when the layer is unpacked; it may fail long before.
    options.after?.catch(() => undefined);
    using _kept = options.after === undefined ? this.#keep(parent) : undefined;
    const known = options.diffId === undefined ? undefined : this.find(chainIdOf(parent, options.diffId));
    if (known !== undefined) return this.#held(known);
    using blob = await this.#ensureBlob(options);
    return await this.#applyOnce(options, blob.digest);
  }

  retain(chainId: ChainId): void {
    this.#held(this.get(chainId));
  }

  release(chainId: ChainId): ChainId[] {
    const left = (this.#holds.get(chainId) ?? 0) - 1;
    if (left > 0) this.#holds.set(chainId, left);
    else this.#holds.delete(chainId);
    try {
      return this.removeIfUnreferenced(chainId);
    } catch (error) {
      // Not even the row of something gone could be written: the disk is full. It is no longer held, so a later collection gets it.
      this.#parts.log.warn({ err: error, chainId }, "could not remove a layer");
      return [];
    }
  }

  tar(chainId: ChainId): Readable {
    const blob = this.blob(chainId);
    if (blob === undefined) {
      const error = Object.assign(new Error(`the blob of layer ${chainId} is not in the store`), { code: "ENOENT" });
      return new Readable({ read: (): void => undefined }).destroy(error);
    }
    return Readable.from(decompress(this.#parts.content.read(blob.digest)), { objectMode: false });
  }

  blob(chainId: ChainId): Blob | undefined {
    const { blob } = this.get(chainId);
    return blob === undefined ? undefined : this.#parts.content.find(blob);
  }

  async dropBlob(digest: Digest): Promise<boolean> {
    const { table, pool, layout, content } = this.#parts;
    for (const layer of table.byBlob(digest)) {
      if (layer.fingerprint !== undefined) continue;
      const directory = join(layout.snapshot(layer.snapshotNumber), "fs");
      table.setFingerprint(layer.chainId, await pool.run<"fingerprint">({ kind: "fingerprint", directory }));
    }
    return content.isHeld(digest) ? false : content.delete(digest);
  }

  metadata(chainId: ChainId): OverlayMetadata {
    const [top = "", ...below] = this.stack(chainId).map((layer) => this.#parts.layout.snapshot(layer.snapshotNumber));
    return overlayMetadata(
      top,
      below.map((folder) => join(folder, "fs")),
    );
  }

  /** Layers that nothing refers to: what a crash left between a layer's row and its image's. Their number. */
  collect(): number {
    return this.#parts.table.unreferenced().flatMap((layer) => this.removeIfUnreferenced(layer.chainId)).length;
  }

  /** From `chainId` downwards until something is still needed. The rows go together, then the files. */
  removeIfUnreferenced(chainId: ChainId): ChainId[] {
    const removed = this.#parts.table.atomically(() => this.#removeRows(chainId));
    for (const layer of removed) this.#removeFiles(layer);
    return removed.map((layer) => layer.chainId);
  }

  #removeRows(chainId: ChainId): Layer[] {
    const removed: Layer[] = [];
    for (let next = this.find(chainId); next !== undefined && !this.#isNeeded(next.chainId); ) {
      this.#parts.table.delete(next.chainId);
      removed.push(next);
      next = next.parent === undefined ? undefined : this.find(next.parent);
    }
    return removed;
  }

  #held(layer: Layer): Layer {
    this.#holds.set(layer.chainId, (this.#holds.get(layer.chainId) ?? 0) + 1);
    return layer;
  }

  #keep(chainId: ChainId | undefined): Disposable | undefined {
    if (chainId === undefined) return undefined;
    this.retain(chainId);
    return { [Symbol.dispose]: () => void this.release(chainId) };
  }

  /** The blob is kept while it is unpacked, whoever deletes what. */
  async #ensureBlob(options: ApplyOptions): Promise<Disposable & { readonly digest: Digest }> {
    const { blob, mediaType, signal } = options;
    const { content } = this.#parts;
    const digest =
      blob instanceof Readable
        ? (await content.ingest(blob, mediaType === undefined ? {} : { mediaType }, signal)).digest
        : blob;
    const hold = content.hold([digest]);
    return { digest, [Symbol.dispose]: () => hold[Symbol.dispose]() };
  }

  async #applyOnce(options: ApplyOptions, blob: Digest): Promise<Layer> {
    const key = `${options.parent ?? ""} ${options.diffId ?? blob}`;
    for (;;) {
      const work = this.#running.get(key) ?? this.#start(key, options, blob);
      if (!work.isAbandoned) return work.wait((layer) => this.#held(layer), options.signal, options.onProgress);
      await work.settled();
    }
  }

  #start(key: string, { parent, diffId, after }: ApplyOptions, blob: Digest): SharedWork<Layer> {
    const wanted = { parent, diffId, blob, after };
    const work = new SharedWork<Layer>(
      (signal, onProgress) => this.#unpack(wanted, signal, onProgress),
      (layer) => this.release(layer.chainId),
    );
    this.#running.set(key, work);
    void work.settled().then(() => this.#running.delete(key));
    return work;
  }

  /** The layer comes with a hold for the work itself, until every waiter has its own. */
  async #unpack(wanted: Unpacking, signal: AbortSignal, onProgress: (bytes: number) => void): Promise<Layer> {
    const { numbers, layout, pool, content, disk, trash } = this.#parts;
    const { parent, blob, diffId: expected } = wanted;
    const snapshotNumber = numbers.next();
    const folder = layout.snapshot(snapshotNumber);
    const directory = join(folder, "fs");
    await using undo = new AsyncDisposableStack();
    await mkdir(folder, { mode: 0o700 });
    undo.defer(() => trash.discard(folder));
    await mkdir(directory, { mode: 0o755 });
    const job = { kind: "apply", blobPath: content.path(blob), directory, diffId: expected } as const;
    const { diffId, sizeBytes, tarBytes } = await pool.run<"apply">(job, { signal, onProgress });
    await disk.sync();
    await wanted.after;
    signal.throwIfAborted();
    const chainId = chainIdOf(parent, diffId);
    // Without an expected diffID it may turn out only now that the layer has been here all along.
    const known = this.find(chainId);
    if (known !== undefined) return this.#held(known);
    const layer: Layer = { chainId, diffId, parent, sizeBytes, snapshotNumber, blob, tarBytes, fingerprint: undefined };
    this.#parts.table.insert(layer);
    undo.move();
    return this.#held(layer);
  }

  #isNeeded(chainId: ChainId): boolean {
    return this.#holds.has(chainId) || this.#parts.table.isReferenced(chainId);
  }

  #removeFiles(layer: Layer): void {
    const { content, layout, log, table, trash } = this.#parts;
    trash.discard(layout.snapshot(layer.snapshotNumber));
    const { blob } = layer;
    if (blob === undefined || table.usesBlob(blob) || content.isHeld(blob)) return;
    content.delete(blob).catch((error: unknown) => log.warn({ err: error, digest: blob }, "could not remove a blob"));
  }
}

/** moby's names: it shows them in `docker inspect`, and tools read them. */
export function overlayMetadata(top: string, below: readonly string[]): OverlayMetadata {
  const own = { MergedDir: join(top, "merged"), UpperDir: join(top, "fs"), WorkDir: join(top, "work") };
  return below.length === 0 ? own : { LowerDir: below.join(":"), ...own };
}
