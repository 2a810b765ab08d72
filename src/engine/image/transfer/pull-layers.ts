import { EngineError, errnoOf, messageOf } from "#base/errors";
import { type Digest, shortId } from "#base/ids";
import {
  configSizeLimit,
  type Descriptor,
  fetchBlob,
  type Reference,
  type Repository,
  repositoryName,
} from "#registry";
import { type Blob, type ChainId, chainIdsOf, type Layer } from "#storage";
import type { ImageParts } from "../parts.ts";
import { downloadBlob, retry } from "./download.ts";
import { layerTypeOf } from "./layer-type.ts";
import { advance, ProgressMeter, type ProgressOutput, update } from "./progress.ts";
import { type Transfer, Transfers } from "./transfers.ts";

/** Where the layers of one image come from; bottom first. */
export interface LayerSource {
  readonly repository: Repository;
  readonly ref: Reference;
  readonly layers: readonly Descriptor[];
  /** What the image's config says that they unpack to. */
  readonly diffIds: readonly Digest[];
}

const silent: ProgressOutput = { write: () => undefined };

/** Fetches and unpacks layers: blobs side by side, each unpacked as soon as it is here, recorded from the bottom up. */
export class LayerPuller {
  readonly #parts: ImageParts;
  readonly #configs = new Transfers<Buffer>(() => 0);
  readonly #blobs: Transfers<Blob>;
  readonly #layers: Transfers<Layer>;

  constructor(parts: ImageParts) {
    this.#parts = parts;
    const { layers } = parts.storage;
    this.#blobs = new Transfers(() => parts.limits.concurrentDownloads);
    this.#layers = new Transfers(() => 0, {
      take: (layer) => layers.retain(layer.chainId),
      release: (layer) => void layers.release(layer.chainId),
    });
  }

  /** An image's config, fetched once for all that ask at the same time. */
  config(source: Repository, digest: Digest, signal: AbortSignal): Promise<Buffer> {
    return this.#configs.share(digest, silent, signal, async (transfer) => {
      await using repository = source.share();
      const fetch = () => fetchBlob(repository, digest, configSizeLimit, transfer.signal);
      return await retry(this.#parts, transfer.signal, fetch);
    });
  }

  /** The layers are held until what it returns is disposed of. */
  async pull(source: LayerSource, output: ProgressOutput, signal: AbortSignal): Promise<Disposable> {
    using undo = new DisposableStack();
    undo.use(this.#parts.storage.content.hold(source.layers.map((layer) => layer.digest)));
    const stack = stackOf(source);
    const present = this.#holdPresent(stack, source, output, undo);
    const failure = new AbortController();
    const together = AbortSignal.any([signal, failure.signal]);
    const seen = new Set<Digest>();
    const missing = stack.slice(present).map(async (entry) => {
      const isRepeated = seen.has(entry.blob.digest);
      seen.add(entry.blob.digest);
      if (!isRepeated) update(output, shortId(entry.blob.digest), "Pulling fs layer");
      try {
        const layer = await this.#share(entry, source, isRepeated ? silent : output, together);
        this.#releaseAtEnd(undo, layer.chainId);
      } catch (error) {
        // The first failure ends the others, and is the one to report.
        failure.abort(error);
      }
    });
    await Promise.all(missing);
    together.throwIfAborted();
    return undo.move();
  }

  /** Holds the lowest layers as far as they are here; says how many. */
  #holdPresent(stack: readonly Entry[], { ref }: LayerSource, output: ProgressOutput, undo: DisposableStack): number {
    const { layers, records } = this.#parts.storage;
    const firstMissing = stack.findIndex(({ chainId }) => layers.find(chainId) === undefined);
    const present = firstMissing < 0 ? stack : stack.slice(0, firstMissing);
    for (const { chainId, blob, diffId } of present) {
      layers.retain(chainId);
      this.#releaseAtEnd(undo, chainId);
      update(output, shortId(blob.digest), "Already exists");
      // Only of a blob that we unpacked once do we know what is in it.
      const known = records.distribution.find(blob.digest);
      if (known?.diffId === diffId) records.distribution.add(diffId, { ...known, repository: repositoryName(ref) });
    }
    return present.length;
  }

  #releaseAtEnd(undo: DisposableStack, chainId: ChainId): void {
    undo.defer(() => void this.#parts.storage.layers.release(chainId));
  }

  /** The result is held for this caller. */
  #share(entry: Entry, source: LayerSource, output: ProgressOutput, signal: AbortSignal): Promise<Layer> {
    const key = `${entry.chainId} ${entry.blob.digest}`;
    return this.#layers.share(key, output, signal, (transfer) => this.#pullOne(entry, source, transfer));
  }

  async #pullOne(entry: Entry, source: LayerSource, transfer: Transfer): Promise<Layer> {
    const { content, layers, records } = this.#parts.storage;
    const { blob, below, diffId } = entry;
    await using repository = source.repository.share();
    using _ = content.hold([blob.digest]);
    await this.#blobs.share(blob.digest, transfer.output, transfer.signal, (download) =>
      downloadBlob(this.#parts, repository, blob, download),
    );
    // This layer is a client of the one below: the request that began that one may have gone.
    const parent = below === undefined ? undefined : this.#holdOrShare(below, source, transfer.signal);
    try {
      const layer = await this.#unpack(entry, parent, transfer);
      const mediaType = await layerTypeOf(this.#parts, blob.digest);
      records.distribution.add(diffId, { digest: blob.digest, repository: repositoryName(source.ref), mediaType });
      update(transfer.output, shortId(blob.digest), "Pull complete");
      return layer;
    } finally {
      await parent?.then(
        ({ chainId }) => void layers.release(chainId),
        () => undefined,
      );
    }
  }

  async #holdOrShare(entry: Entry, source: LayerSource, signal: AbortSignal): Promise<Layer> {
    const { layers } = this.#parts.storage;
    const present = layers.find(entry.chainId);
    if (present === undefined) return this.#share(entry, source, silent, signal);
    layers.retain(entry.chainId);
    return present;
  }

  async #unpack(entry: Entry, parent: Promise<Layer> | undefined, { output, signal }: Transfer): Promise<Layer> {
    const { blob, diffId, below } = entry;
    const report = (current: number, total: number) =>
      advance(output, shortId(blob.digest), "Extracting", current, total);
    const meter = new ProgressMeter(blob.sizeBytes, 0, report);
    try {
      const layer = await this.#parts.storage.layers.apply({
        parent: below?.chainId,
        blob: blob.digest,
        mediaType: blob.mediaType,
        diffId,
        onProgress: (bytes) => meter.set(bytes),
        signal,
        ...(parent === undefined ? {} : { after: parent }),
      });
      meter.finish();
      return layer;
    } catch (error) {
      signal.throwIfAborted();
      // What failed below is told as it is.
      await parent;
      if (errnoOf(error) === "EDIGEST") throw layersMismatch(error);
      throw new EngineError("system", `failed to register layer: ${messageOf(error)}`, { cause: error });
    }
  }
}

interface Entry {
  readonly blob: Descriptor;
  readonly diffId: Digest;
  readonly chainId: ChainId;
  readonly below: Entry | undefined;
}

function stackOf({ layers, diffIds }: LayerSource): Entry[] {
  const stack: Entry[] = [];
  for (const [index, chainId] of chainIdsOf(diffIds).entries()) {
    const [blob, diffId] = [layers[index], diffIds[index]];
    if (blob === undefined || diffId === undefined) throw layersMismatch();
    stack.push({ blob, diffId, chainId, below: stack.at(-1) });
  }
  if (layers.length !== diffIds.length) throw layersMismatch();
  return stack;
}

const layersMismatch = (cause?: unknown) =>
  new EngineError("system", "layers from manifest don't match image configuration", { cause });
