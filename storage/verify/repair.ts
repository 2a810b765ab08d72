/*
 * Blobs first, because layers are unpacked from them. A layer is unpacked anew into another folder, then its row names that
 * one, then the old folder goes: whenever this ends early, the store is as broken as before or less.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { messageOf } from "#base/errors";
import { type Digest, parseId } from "#base/ids";
import { ContentCheck } from "../content/check.ts";
import { requireDatabase } from "../database.ts";
import { type ChainId, parseChainId } from "../layers/chain.ts";
import { ContainerTable } from "../records/containers.ts";
import { DistributionTable } from "../records/distribution.ts";
import type { ImageRecord } from "../records/image-record.ts";
import { ImageTable } from "../records/images.ts";
import { ReferenceTable } from "../records/references.ts";
import { openParts, type StorageOptions, type StorageParts } from "../storage.ts";
import type { Blob, Layer } from "../types.ts";
import { Check } from "./check.ts";
import type { Fault } from "./fault.ts";
import { configDigest, imageProblem, imageSizeBytes } from "./records.ts";

/** Where lost bytes come from. Tries the repositories in turn; throws when none of them has it. */
export interface BlobSource {
  /** `take` may be called again when it fails: with the bytes of the next repository. */
  withLayer(
    digest: Digest,
    repositories: readonly string[],
    take: (bytes: Readable) => Promise<unknown>,
  ): Promise<unknown>;
  fetchManifest(digest: Digest, repositories: readonly string[]): Promise<{ bytes: Buffer; mediaType: string }>;
}

/** A fault, and why it is still there; undefined when it is mended. */
export interface Repaired {
  readonly fault: Fault;
  readonly failure: string | undefined;
}

/** Mends what `verifyStore` finds, as far as it can be mended. Throws when the engine runs: the store must be ours alone. */
export async function* repairStore(options: StorageOptions, source: BlobSource): AsyncGenerator<Repaired, void> {
  requireDatabase(options.dataRoot);
  await using parts = await openParts(options);
  const repair = new Repair(parts, source);
  yield* repair.blobs();
  yield* repair.layers();
  yield* repair.manifests();
  yield* repair.images();
  await parts.snapshots.ensureInitLayers();
}

class Repair {
  readonly #parts: StorageParts;
  readonly #source: BlobSource;
  readonly #check: Check;
  readonly #images: ImageTable;
  readonly #references: ReferenceTable;
  readonly #distribution: DistributionTable;
  readonly #containers: ContainerTable;

  constructor(parts: StorageParts, source: BlobSource) {
    this.#parts = parts;
    this.#source = source;
    const { database, content, layout, pool } = parts;
    this.#check = new Check({
      layout,
      pool,
      findBlob: (digest) => content.find(digest),
      blobPath: (digest) => content.path(digest),
    });
    this.#images = new ImageTable(database);
    this.#references = new ReferenceTable(database);
    this.#distribution = new DistributionTable(database);
    this.#containers = new ContainerTable(database);
  }

  async *blobs(): AsyncGenerator<Repaired, void> {
    for (const blob of this.#parts.content.list()) {
      const problem = await this.#check.blob(blob);
      if (problem === undefined) continue;
      yield await this.#attempt({ kind: "blob", digest: blob.digest, problem }, () => this.#restore(blob));
    }
  }

  async *layers(): AsyncGenerator<Repaired, void> {
    for (const layer of this.#parts.table.list()) {
      const problem = await this.#check.layer(layer);
      if (problem === undefined) continue;
      yield await this.#attempt({ kind: "layer", chainId: layer.chainId, problem }, () => this.#unpack(layer));
    }
  }

  async *manifests(): AsyncGenerator<Repaired, void> {
    for (const { id, manifestDigest } of this.#images.list()) {
      if (manifestDigest === null || this.#parts.content.has(manifestDigest)) continue;
      const fault: Fault = { kind: "image", id, problem: `its manifest ${manifestDigest} is missing` };
      yield await this.#attempt(fault, async () => {
        const { bytes, mediaType } = await this.#source.fetchManifest(
          manifestDigest,
          this.#homesOfManifest(manifestDigest),
        );
        await this.#parts.content.ingest(bytes, { digest: manifestDigest, mediaType });
      });
    }
  }

  async *images(): AsyncGenerator<Repaired, void> {
    for (const image of this.#images.list()) {
      const problem = imageProblem(image, this.#parts.table);
      if (problem !== undefined)
        yield await this.#attempt({ kind: "image", id: image.id, problem }, () => this.#rewrite(image));
    }
  }

  /** The config from where the image came from, if it must be; what follows from it is counted again. */
  async #rewrite(image: ImageRecord): Promise<void> {
    const isWhole = configDigest(image.configJson) === image.id;
    const configJson = isWhole ? image.configJson : await this.#fetchConfig(image);
    const sizeBytes = imageSizeBytes(configJson, this.#parts.table);
    const mended = { ...image, configJson, sizeBytes };
    const problem = imageProblem(mended, this.#parts.table);
    if (problem !== undefined) throw new Error(problem);
    this.#images.rewrite(mended);
  }

  async #fetchConfig({ id, manifestDigest }: ImageRecord): Promise<string> {
    const { content } = this.#parts;
    const blob = content.find(id);
    if (blob !== undefined && (await this.#check.blob(blob)) === undefined)
      return (await content.readBytes(id, blob.sizeBytes)).toString("utf8");
    const homes = manifestDigest === null ? [] : this.#homesOfManifest(manifestDigest);
    let config = "";
    await this.#source.withLayer(id, homes, async (bytes) => {
      const check = new ContentCheck({ digest: id });
      const chunks: Buffer[] = [];
      for await (const chunk of bytes) {
        check.update(chunk);
        chunks.push(chunk);
      }
      check.finish();
      config = Buffer.concat(chunks).toString("utf8");
    });
    return config;
  }

  async #attempt(fault: Fault, mend: () => Promise<void>): Promise<Repaired> {
    try {
      await mend();
      return { fault, failure: undefined };
    } catch (error) {
      return { fault, failure: messageOf(error) };
    }
  }

  async #restore(blob: Blob): Promise<void> {
    const { content } = this.#parts;
    const homes = this.#homesOfManifest(blob.digest);
    const image = this.#images.find(blob.digest);
    if (image !== undefined) await content.restore(Readable.from([Buffer.from(image.configJson)]), blob);
    // The next start writes it anew.
    else if (homes.length === 0 && this.#images.hasLayoutManifest(blob.digest)) await content.delete(blob.digest);
    else if (homes.length === 0) await this.#fetchLayer(blob.digest, (bytes) => content.restore(bytes, blob));
    else {
      const { bytes } = await this.#source.fetchManifest(blob.digest, homes);
      await content.restore(Readable.from([bytes]), blob);
    }
  }

  async #fetchLayer(digest: Digest, take: (bytes: Readable) => Promise<unknown>): Promise<void> {
    await this.#source.withLayer(digest, this.#distribution.repositoriesOf(digest), take);
  }

  /** An image that came from a registry has a name with its manifest's digest. */
  #homesOfManifest(digest: Digest): string[] {
    const all = this.#references.list().map(({ reference }) => reference.split("@"));
    return all.filter(([, own]) => own === digest).map(([repository = ""]) => repository);
  }

  async #unpack(layer: Layer): Promise<void> {
    const user = this.#runningUser(layer.chainId);
    if (user !== undefined) throw new Error(`container ${user} runs on it: stop it first`);
    const { content, disk, layout, numbers, pool, table, trash } = this.#parts;
    const { blob, diffId, chainId } = layer;
    if (blob === undefined) throw new Error("its blob is not known");
    if (!content.has(blob)) await this.#fetchLayer(blob, (bytes) => content.ingest(bytes, { digest: blob }));
    const snapshotNumber = numbers.next();
    const folder = layout.snapshot(snapshotNumber);
    await using undo = new AsyncDisposableStack();
    await mkdir(folder, { mode: 0o700 });
    undo.defer(() => trash.discard(folder));
    const directory = join(folder, "fs");
    await mkdir(directory, { mode: 0o755 });
    const measured = await pool.run<"apply">({ kind: "apply", blobPath: content.path(blob), directory, diffId });
    await disk.sync();
    table.replace(chainId, { ...measured, snapshotNumber });
    undo.move();
    trash.discard(layout.snapshot(layer.snapshotNumber));
  }

  /** Containers outlive the engine, and one that runs has the folder mounted. */
  #runningUser(chainId: ChainId): string | undefined {
    const { database, layers } = this.#parts;
    const rows = database.prepare<[], { id: string; parent: string }>(
      "SELECT container_id AS id, parent FROM snapshots WHERE parent IS NOT NULL",
    );
    for (const { id, parent } of rows.all()) {
      const status = this.#containers.find(parseId(id))?.state.status;
      const isRunning = status === "running" || status === "paused" || status === "restarting";
      if (isRunning && layers.stack(parseChainId(parent)).some((one) => one.chainId === chainId)) return id;
    }
    return undefined;
  }
}
