import { createHash } from "node:crypto";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { errnoOf } from "#base/errors";
import { type Digest, sha256Digest, shortId } from "#base/ids";
import {
  cancelUpload,
  commitUpload,
  type Descriptor,
  mediaTypes,
  mountBlob,
  parseReference,
  type Reference,
  RegistryError,
  type Repository,
  repositoryName,
  sendBlob,
  sendUpload,
  startUpload,
  statBlob,
  type Upload,
} from "#registry";
import type { KnownBlob, Layer } from "#storage";
import { ensureBlobs } from "../blob-cache.ts";
import type { ImageParts } from "../parts.ts";
import { bareOf, isFinal, pauseAfter } from "./download.ts";
import { layerTypeOf } from "./layer-type.ts";
import { advance, ProgressMeter, type ProgressOutput, update } from "./progress.ts";
import { type Transfer, Transfers } from "./transfers.ts";

const attemptLimit = 5;
const kB = 1 << 10;

export interface LayerTarget {
  readonly repository: Repository;
  readonly ref: Reference;
  readonly hasCredentials: boolean;
  readonly layer: Layer;
  /** The exact blob to push; without it the layer is compressed anew unless the registry has it. */
  readonly blob: Descriptor | undefined;
}

/** Brings layers to a registry: those it has are not sent, those that a sister repository has are mounted. */
export class LayerPusher {
  readonly #parts: ImageParts;
  readonly #uploads: Transfers<Descriptor>;

  constructor(parts: ImageParts) {
    this.#parts = parts;
    this.#uploads = new Transfers(() => parts.limits.concurrentUploads);
  }

  async push(target: LayerTarget, output: ProgressOutput, signal: AbortSignal): Promise<Descriptor> {
    const { layer, ref, blob } = target;
    const { distribution } = this.#parts.storage.records;
    const key = `${repositoryName(ref)} ${layer.chainId} ${blob?.digest ?? ""}`;
    const pushed = await this.#uploads.share(key, output, signal, (transfer) =>
      this.#pushWithRetries(target, transfer),
    );
    const { digest } = pushed;
    // Only of a blob that we packed or unpacked do we know what is in it.
    const isKnown = blob === undefined || layer.blob === digest || distribution.find(digest)?.diffId === layer.diffId;
    // What a pulled manifest calls it is not always what it is.
    const mediaType = blob === undefined ? pushed.mediaType : await layerTypeOf(this.#parts, digest);
    if (isKnown) distribution.add(layer.diffId, { digest, repository: repositoryName(ref), mediaType });
    return pushed;
  }

  async #pushWithRetries(target: LayerTarget, transfer: Transfer): Promise<Descriptor> {
    const id = shortId(target.layer.diffId);
    await using _ = target.repository.share();
    using _slot = await transfer.takeSlot(() => update(transfer.output, id, "Waiting"));
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#pushOnce(target, transfer);
      } catch (error) {
        transfer.signal.throwIfAborted();
        if (attempt >= attemptLimit || isFinal(error)) throw bareOf(error);
        this.#parts.log.info({ err: error, digest: target.layer.diffId, attempt }, "upload failed, trying again");
        await pauseAfter(this.#parts, error, attempt, id, transfer);
      }
    }
  }

  async #pushOnce(target: LayerTarget, transfer: Transfer): Promise<Descriptor> {
    const id = shortId(target.layer.diffId);
    const there = await this.#findThere(target, transfer.signal);
    if (there !== undefined) {
      update(transfer.output, id, "Layer already exists");
      return there;
    }
    const { upload, mounted, from } = await this.#mountOrStart(target, transfer.signal);
    if (mounted !== undefined) {
      update(transfer.output, id, `Mounted from ${from}`);
      return mounted;
    }
    try {
      await ensureBlobs(this.#parts, [target.layer.chainId], transfer.signal);
      const sent = await this.#send(target, upload, transfer);
      update(transfer.output, id, "Pushed");
      return sent;
    } catch (error) {
      await cancelUpload(target.repository, upload, AbortSignal.timeout(5000));
      throw error;
    }
  }

  /** Blobs of this layer that this repository is known to have had, asked for anew. */
  async #findThere(target: LayerTarget, signal: AbortSignal): Promise<Descriptor | undefined> {
    for (const [digest, mediaType] of await this.#expectedThere(target)) {
      const blob = await this.#tryStat(target, digest, signal);
      if (blob !== undefined) return { ...blob, mediaType };
    }
    return undefined;
  }

  /** Digests with their media types, the likeliest first. */
  async #expectedThere(target: LayerTarget): Promise<readonly (readonly [Digest, string])[]> {
    if (target.blob !== undefined) return [[target.blob.digest, target.blob.mediaType]];
    const known = await this.#usable(target);
    const inRepository = known.filter((blob) => blob.repository === repositoryName(target.ref));
    const isSmall = target.layer.sizeBytes <= 100 * kB;
    // A large layer is worth a question about blobs that only other repositories are known to have.
    const all = isSmall ? inRepository : [...inRepository, ...known];
    return [...new Map(all.map(({ digest, mediaType }) => [digest, mediaType]))].slice(0, 3);
  }

  /** Blobs of this layer, newest first. One that nobody can name in a manifest is none. */
  async #usable({ layer, blob }: LayerTarget): Promise<UsableBlob[]> {
    const usable: UsableBlob[] = [];
    for (const known of this.#parts.storage.records.distribution.byDiffId(layer.diffId)) {
      if (blob !== undefined && blob.digest !== known.digest) continue;
      const mediaType = blob?.mediaType ?? known.mediaType ?? (await layerTypeOf(this.#parts, known.digest));
      if (mediaType !== undefined) usable.push({ ...known, mediaType });
    }
    return usable;
  }

  /** A registry that will not say is sent the layer. */
  async #tryStat({ repository, layer, ref }: LayerTarget, digest: Digest, signal: AbortSignal) {
    try {
      const blob = await statBlob(repository, digest, signal);
      const { distribution } = this.#parts.storage.records;
      if (blob === undefined) distribution.remove(layer.diffId, digest, repositoryName(ref));
      return blob;
    } catch (error) {
      if (signal.aborted || !(error instanceof RegistryError)) throw error;
      this.#parts.log.debug({ err: error, digest }, "layer not looked up");
      return undefined;
    }
  }

  async #mountOrStart(
    target: LayerTarget,
    signal: AbortSignal,
  ): Promise<
    | { upload: Upload; mounted?: undefined; from?: undefined }
    | { upload?: undefined; mounted: Descriptor; from: string }
  > {
    for (const candidate of await this.#mountCandidates(target)) {
      const mounted = await this.#tryMount(target, candidate, signal);
      if (mounted === undefined) continue;
      if ("location" in mounted) return { upload: mounted };
      return { mounted: { ...mounted, mediaType: candidate.mediaType }, from: candidate.path };
    }
    return { upload: await startUpload(target.repository, signal) };
  }

  /** A mount is a favour: where it is refused, the bytes are sent. */
  async #tryMount({ repository }: LayerTarget, { digest, path }: Candidate, signal: AbortSignal) {
    try {
      return await mountBlob(repository, { digest, from: path }, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof RegistryError) || error.fault === "transport") throw error;
      this.#parts.log.debug({ err: error, digest }, "layer not mounted");
      return undefined;
    }
  }

  async #mountCandidates(target: LayerTarget): Promise<Candidate[]> {
    const { layer, ref } = target;
    const candidates = (await this.#usable(target))
      .filter((one) => one.repository !== repositoryName(ref))
      .map((one) => ({ ...one, source: parseReference(one.repository) }))
      .filter(({ source }) => source.domain === ref.domain)
      .map(({ digest, mediaType, source }) => ({ digest, mediaType, path: source.path }));
    const limit = layer.sizeBytes > 10 * kB * kB ? 4 : layer.sizeBytes > 100 * kB ? 3 : 1;
    return candidates.slice(0, limit);
  }

  /** What is compressed anew is known when it has been sent; a kept blob before. */
  async #send(target: LayerTarget, upload: Upload, { output, signal }: Transfer): Promise<Descriptor> {
    const { layer, repository, blob } = target;
    const { content, layers } = this.#parts.storage;
    const total = blob?.sizeBytes ?? layer.sizeBytes;
    const report = (current: number) => advance(output, shortId(layer.diffId), "Pushing", current, total);
    const meter = new ProgressMeter(total, 0, report);
    if (blob !== undefined) {
      await sendBlob(repository, upload, blob, metered(content.read(blob.digest), meter), signal);
      return blob;
    }
    const digester = new Digester();
    const flow = pipeline(metered(layers.tar(layer.chainId), meter), createGzip(), digester, { signal });
    flow.catch(() => undefined);
    const sent = await sendUpload(repository, upload, digester, signal);
    await flow.catch((error: unknown) => {
      // Answered before all was read.
      const isUnread = errnoOf(error) === "ERR_STREAM_PREMATURE_CLOSE";
      throw isUnread ? new RegistryError("transport", "EOF", { cause: error }) : error;
    });
    const { digest, sizeBytes } = digester;
    await commitUpload(repository, sent, digest, signal);
    return { digest, sizeBytes, mediaType: mediaTypes.ociGzipLayer };
  }
}

type UsableBlob = KnownBlob & { readonly mediaType: string };

interface Candidate {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly path: string;
}

/** Counts and hashes what passes. */
class Digester extends Transform {
  readonly #hash = createHash("sha256");
  sizeBytes = 0;

  get digest(): Digest {
    return sha256Digest(this.#hash.copy().digest("hex"));
  }

  override _transform(chunk: Buffer, _encoding: string, done: (error: null, chunk: Buffer) => void): void {
    this.#hash.update(chunk);
    this.sizeBytes += chunk.length;
    done(null, chunk);
  }
}

function metered(source: Readable, meter: ProgressMeter): Readable {
  const count = async function* () {
    for await (const chunk of source) {
      meter.add(chunk.length);
      yield chunk;
    }
  };
  return Readable.from(count(), { objectMode: false });
}
