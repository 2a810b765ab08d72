import { EngineError, messageOf } from "#base/errors";
import { type Digest, shortId } from "#base/ids";
import { type Descriptor, type Reference, type Repository, repositoryName } from "#registry";
import type { Blob, ChainId, Layer } from "#storage";
import { chainIdOf } from "#storage";
import { downloadBlob } from "./download.ts";
import type { ImageParts } from "./parts.ts";
import { advance, ProgressMeter, type ProgressOutput, update } from "./progress.ts";
import { type Transfer, Transfers } from "./transfers.ts";

const concurrentDownloads = 3;

/** Where the layers of one image come from. */
export interface LayerSource {
  readonly repository: Repository;
  readonly ref: Reference;
  /** Bottom first. */
  readonly layers: readonly Descriptor[];
}

/** The layers of an image, held until disposed. */
export interface PulledLayers extends Disposable {
  readonly diffIds: readonly Digest[];
}

const silent: ProgressOutput = { write: () => undefined };

/** Fetches and unpacks layers: blobs side by side, each on top of the one below as soon as both are here. */
export class LayerPuller {
  readonly #parts: ImageParts;
  readonly #blobs = new Transfers<Blob>(concurrentDownloads);
  readonly #layers: Transfers<Layer>;

  constructor(parts: ImageParts) {
    this.#parts = parts;
    const { layers } = parts.storage;
    this.#layers = new Transfers(Number.POSITIVE_INFINITY, {
      take: (layer) => layers.retain(layer.chainId),
      release: (layer) => void layers.release(layer.chainId),
    });
  }

  async pull(source: LayerSource, output: ProgressOutput, signal: AbortSignal): Promise<PulledLayers> {
    using undo = new DisposableStack();
    using _ = this.#parts.storage.content.hold(source.layers.map((layer) => layer.digest));
    const present = this.#findPresent(source, output, undo);
    const failure = new AbortController();
    const together = AbortSignal.any([signal, failure.signal]);
    const seen = new Set<Digest>();
    const missing = source.layers.slice(present.length).map((layer, offset) => {
      const isRepeated = seen.has(layer.digest);
      seen.add(layer.digest);
      if (!isRepeated) update(output, shortId(layer.digest), "Pulling fs layer");
      const stack = { source, base: present.at(-1), from: present.length, index: present.length + offset };
      return this.#share(stack, isRepeated ? silent : output, together).catch((error: unknown) => {
        // The first failure ends the others, and is the one to report.
        failure.abort(error);
        throw error;
      });
    });
    const results = await Promise.allSettled(missing);
    const pulled = results.filter((result) => result.status === "fulfilled").map((result) => result.value);
    for (const layer of pulled) this.#releaseAtEnd(undo, layer.chainId);
    together.throwIfAborted();
    const holds = undo.move();
    return {
      diffIds: [...present, ...pulled].map((layer) => layer.diffId),
      [Symbol.dispose]: () => holds.dispose(),
    };
  }

  /** The lowest layers that are here already, as far as they follow one another. */
  #findPresent({ layers, ref }: LayerSource, output: ProgressOutput, undo: DisposableStack): Layer[] {
    const { storage } = this.#parts;
    const present: Layer[] = [];
    for (const { digest } of layers) {
      const diffId = storage.records.distribution.diffIdOf(digest);
      const layer = diffId === undefined ? undefined : storage.layers.find(chainIdOf(present.at(-1)?.chainId, diffId));
      if (layer === undefined) break;
      storage.layers.retain(layer.chainId);
      this.#releaseAtEnd(undo, layer.chainId);
      update(output, shortId(digest), "Already exists");
      storage.records.distribution.add(layer.diffId, { digest, repository: repositoryName(ref) });
      present.push(layer);
    }
    return present;
  }

  #releaseAtEnd(undo: DisposableStack, chainId: ChainId): void {
    undo.defer(() => void this.#parts.storage.layers.release(chainId));
  }

  /** The result is held for this caller. */
  #share(stack: Stack, output: ProgressOutput, signal: AbortSignal): Promise<Layer> {
    const key = stack.source.layers.slice(0, stack.index + 1).map((layer) => layer.digest);
    return this.#layers.share(key.join(" "), output, signal, (transfer) => this.#pullOne(stack, transfer));
  }

  async #pullOne(stack: Stack, transfer: Transfer): Promise<Layer> {
    const { layers, content, records } = this.#parts.storage;
    const { repository, ref, layers: descriptors } = stack.source;
    const descriptor = descriptors[stack.index];
    if (descriptor === undefined) throw new Error("no such layer in the manifest");
    using held = new DisposableStack();
    held.use(content.hold([descriptor.digest]));
    await this.#blobs.share(descriptor.digest, transfer.output, transfer.signal, (download) =>
      downloadBlob(this.#parts, repository, descriptor, download),
    );
    const parent = await this.#parentOf(stack, transfer.signal);
    if (parent !== undefined) held.defer(() => void layers.release(parent.chainId));
    const layer = await this.#unpack(descriptor, parent?.chainId, transfer);
    records.distribution.add(layer.diffId, { digest: descriptor.digest, repository: repositoryName(ref) });
    update(transfer.output, shortId(descriptor.digest), "Pull complete");
    return layer;
  }

  /** This layer is a client of the one below: the request that began it may have gone. */
  async #parentOf(stack: Stack, signal: AbortSignal): Promise<Layer | undefined> {
    if (stack.index > stack.from) return this.#share({ ...stack, index: stack.index - 1 }, silent, signal);
    if (stack.base !== undefined) this.#parts.storage.layers.retain(stack.base.chainId);
    return stack.base;
  }

  async #unpack(descriptor: Descriptor, parent: ChainId | undefined, { output, signal }: Transfer): Promise<Layer> {
    const id = shortId(descriptor.digest);
    const total = descriptor.sizeBytes;
    const meter = new ProgressMeter(total, 0, (current) => advance(output, id, "Extracting", current, total));
    try {
      const onProgress = (bytes: number) => meter.set(bytes);
      const { digest: blob, mediaType } = descriptor;
      const layer = await this.#parts.storage.layers.apply({ parent, blob, mediaType, onProgress, signal });
      meter.finish();
      return layer;
    } catch (error) {
      signal.throwIfAborted();
      throw new EngineError("system", `failed to register layer: ${messageOf(error)}`, { cause: error });
    }
  }
}

interface Stack {
  readonly source: LayerSource;
  /** The highest layer that was here before; `from` is the index of the first that was not. */
  readonly base: Layer | undefined;
  readonly from: number;
  readonly index: number;
}
