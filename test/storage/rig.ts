import { createHash } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, sha256Digest } from "#base/ids";
import { createLog } from "#base/log";
import { type Layer, openStorage, type Storage } from "#storage";

export interface TestFolder extends AsyncDisposable {
  readonly path: string;
}

/** A folder on a real disk; gone at the end. */
export function testFolder(): TestFolder {
  const path = mkdtempSync("/var/tmp/storage-");
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export interface TestStorage extends AsyncDisposable {
  readonly storage: Storage;
  readonly folder: string;
  readonly dataRoot: string;
  /** Where a layer's files are. */
  layerRoot(layer: Layer): string;
  /** Ingests and applies a tar as one layer without a parent. */
  unpack(tar: Buffer): Promise<Layer>;
}

export const openAt = (folder: string): Promise<Storage> =>
  openStorage({ dataRoot: join(folder, "data"), execRoot: join(folder, "run"), log: createLog("silent") });

export async function openTestStorage(): Promise<TestStorage> {
  const folder = testFolder();
  const storage = await openAt(folder.path);
  const dataRoot = join(folder.path, "data");
  return {
    storage,
    folder: folder.path,
    dataRoot,
    layerRoot: (layer) => join(dataRoot, "snapshots", `${layer.snapshotNumber}`, "fs"),
    unpack: async (tar) => {
      const blob = await storage.content.ingest(tar);
      return storage.layers.apply({ parent: undefined, blob: blob.digest });
    },
    [Symbol.asyncDispose]: async () => {
      await storage[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

export const digestOf = (bytes: Uint8Array): Digest => sha256Digest(createHash("sha256").update(bytes).digest("hex"));

export async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export const hasCode =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof Error && "code" in error && error.code === code;
