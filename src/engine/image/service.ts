import type { Readable } from "node:stream";
import type {
  DeleteItem,
  DistributionInspect,
  HistoryItem,
  ImageInspect,
  ImageSummary,
  ImagesPruneReport,
  SearchItem,
} from "#api-schema/image";
import { EngineError } from "#base/errors";
import type { Digest } from "#base/ids";
import type { Access, Login, Platform, TaggedReference } from "#registry";
import type { ChainId } from "#storage";
import type { Filters } from "../filters.ts";
import { type ImportRequest, importImage } from "./archive/import.ts";
import { loadImages } from "./archive/load.ts";
import type { LoadRequest } from "./archive/load-layers.ts";
import { saveImages } from "./archive/save.ts";
import { trimBlobs } from "./blob-cache.ts";
import {
  type CommitRequest,
  type CommitSource,
  commitContainer,
  commitSnapshot,
  type SnapshotCommit,
} from "./commit.ts";
import type { ImageConfig } from "./config/config.ts";
import { type DeleteOptions, deleteImage } from "./delete.ts";
import { imageHistory } from "./history.ts";
import { inspectImage } from "./inspect.ts";
import { LayoutIndex } from "./layout-index.ts";
import { type ImageUsageReport, imageDiskUsage, type ListOptions, listImages } from "./list.ts";
import type { ImageParts, TransferLimits } from "./parts.ts";
import { pruneImages } from "./prune.ts";
import { findImage, getImage, type Image } from "./resolve.ts";
import { type ImageSearch, inspectDistribution, searchImages } from "./search.ts";
import { getImageToTag, tagImage } from "./tag.ts";
import type { ProgressOutput } from "./transfer/progress.ts";
import { type PullRequest, pullImage } from "./transfer/pull.ts";
import { LayerPuller } from "./transfer/pull-layers.ts";
import { type PushRequest, pushImage } from "./transfer/push.ts";
import { LayerPusher } from "./transfer/push-layers.ts";

/** What a container is made from. */
export interface ImageForRun {
  readonly id: Digest;
  readonly config: ImageConfig;
  /** The top of its layers; none for an empty image. */
  readonly chainId: ChainId | undefined;
}

const trimTimeoutMs = 600_000;

/** The images of this engine, by name and by id. */
export class ImageService {
  readonly #parts: ImageParts;
  readonly #puller: LayerPuller;
  readonly #pusher: LayerPusher;
  readonly #layout: LayoutIndex;
  #isPruning = false;
  #isTrimming = false;

  constructor(parts: ImageParts) {
    this.#parts = parts;
    this.#puller = new LayerPuller(parts);
    this.#pusher = new LayerPusher(parts);
    this.#layout = new LayoutIndex(parts);
  }

  configure(limits: TransferLimits): void {
    this.#parts.limits = limits;
  }

  /** Until disposed, the content folder's index follows what is recorded. */
  publishLayout(): AsyncDisposable {
    this.#layout.refresh();
    return { [Symbol.asyncDispose]: () => this.#layout.settled() };
  }

  /** By name, id or the first digits of one. Throws `No such image: x:latest`, and for an image of another platform. */
  get(name: string, platform?: Platform): ImageForRun {
    return forRun(getImage(this.#parts, name, platform));
  }

  find(name: string): ImageForRun | undefined {
    const image = findImage(this.#parts, name);
    return image === undefined ? undefined : forRun(image);
  }

  get count(): number {
    return this.#parts.storage.records.images.list().length;
  }

  list(options: ListOptions): ImageSummary[] {
    return listImages(this.#parts, options);
  }

  diskUsage(): ImageUsageReport {
    return imageDiskUsage(this.#parts);
  }

  inspect(name: string, platform?: Platform): ImageInspect {
    return inspectImage(this.#parts, name, platform);
  }

  history(name: string, platform?: Platform): HistoryItem[] {
    return imageHistory(this.#parts, name, platform);
  }

  tag(name: string, ref: TaggedReference): void {
    tagImage(this.#parts, getImageToTag(this.#parts, name).id, ref);
    this.#layout.refresh();
  }

  delete(name: string, options: DeleteOptions): DeleteItem[] {
    try {
      return deleteImage(this.#parts, name, options);
    } finally {
      this.#changed();
    }
  }

  async prune(filters: Filters, signal: AbortSignal): Promise<ImagesPruneReport> {
    if (this.#isPruning) throw new EngineError("conflict", "a prune operation is already running");
    this.#isPruning = true;
    try {
      return await pruneImages(this.#parts, filters, signal);
    } finally {
      this.#isPruning = false;
      this.#changed();
    }
  }

  async pull(request: PullRequest, output: ProgressOutput, signal: AbortSignal): Promise<void> {
    await this.#keep(pullImage(this.#parts, this.#puller, request, output, signal));
    this.#trimSoon();
  }

  async push(request: PushRequest, output: ProgressOutput, signal: AbortSignal): Promise<void> {
    await this.#keep(pushImage(this.#parts, this.#pusher, request, output, signal));
  }

  async import(request: ImportRequest, output: ProgressOutput, signal: AbortSignal): Promise<Digest> {
    return this.#keep(importImage(this.#parts, request, output, signal));
  }

  async load(request: LoadRequest, output: ProgressOutput, signal: AbortSignal): Promise<void> {
    await this.#keep(loadImages(this.#parts, request, output, signal));
  }

  /** The archive; fails before its first byte for what is not here. */
  async save(names: readonly string[], platform: Platform | undefined, signal: AbortSignal): Promise<Readable> {
    const archive = await saveImages(this.#parts, names, platform, signal);
    return archive.once("close", () => this.#collectSoon());
  }

  async commit(source: CommitSource, request: CommitRequest, signal: AbortSignal): Promise<Digest> {
    return this.#keep(commitContainer(this.#parts, source, request, signal));
  }

  /** The bare half of a commit, for the builder: no pause, no tag, no container event. */
  async commitSnapshot(commit: SnapshotCommit, signal: AbortSignal): Promise<Digest> {
    return commitSnapshot(this.#parts, commit, signal);
  }

  /** What is reported done outlives a power cut. What came before a failure, or lost its image meanwhile, goes. */
  async #keep<T>(work: Promise<T>): Promise<T> {
    try {
      const result = await work;
      await this.#parts.storage.sync();
      return result;
    } finally {
      this.#changed();
    }
  }

  async search(request: ImageSearch, signal: AbortSignal): Promise<SearchItem[]> {
    return searchImages(this.#parts, request, signal);
  }

  async inspectDistribution(name: string, access: Access, signal: AbortSignal): Promise<DistributionInspect> {
    return inspectDistribution(this.#parts, name, access, signal);
  }

  async login(access: Access, signal: AbortSignal): Promise<Login> {
    return this.#parts.registry.login(access, signal);
  }

  /** After the answer; one at a time, and nobody waits for it. */
  #trimSoon(): void {
    if (this.#isTrimming) return;
    this.#isTrimming = true;
    const { log } = this.#parts;
    trimBlobs(this.#parts, AbortSignal.timeout(trimTimeoutMs))
      .then((count) => count > 0 && this.#layout.refresh())
      .catch((err: unknown) => log.warn({ err }, "blobs not dropped"))
      .finally(() => {
        this.#isTrimming = false;
      });
  }

  #changed(): void {
    this.#collectSoon();
    this.#layout.refresh();
  }

  /** Blobs that lost their last user go after the answer, not before it. */
  #collectSoon(): void {
    this.#parts.storage.collect().catch((err: unknown) => this.#parts.log.warn({ err }, "blobs not collected"));
  }
}

const forRun = ({ id, config, chainIds }: Image): ImageForRun => ({ id, config, chainId: chainIds.at(-1) });
