/**
 * The compressed blobs beside the unpacked layers: what makes a push or a save give the same bytes. They are a cache. Above a
 * watermark of the disk those that a registry still shows to everybody are dropped, and fetched again when they are needed.
 */
import { statfs } from "node:fs/promises";
import { EngineError } from "#base/errors";
import type { Digest } from "#base/ids";
import { type Access, openBlob, parseReference, statBlob } from "#registry";
import type { ChainId } from "#storage";
import type { ImageParts } from "./parts.ts";
import type { Image } from "./resolve.ts";

const anonymous: Access = { credentials: {} };

/** Until disposed, neither its layers nor the blobs that it came from go away, whatever is removed meanwhile. */
export function holdImage(parts: ImageParts, { id, chainIds, record }: Image): Disposable {
  const { content, layers, records } = parts.storage;
  using undo = new DisposableStack();
  for (const chainId of chainIds) {
    layers.retain(chainId);
    undo.defer(() => void layers.release(chainId));
  }
  const manifests = records.origins.ofImage(id).map((origin) => origin.manifest);
  const blobs = [record.manifestDigest, ...manifests, ...chainIds.map((chainId) => layers.get(chainId).blob ?? null)];
  undo.use(content.hold(blobs.filter((blob) => blob !== null)));
  return undo.move();
}

/** Brings back those blobs of held layers that were dropped. */
export async function ensureBlobs(parts: ImageParts, chainIds: readonly ChainId[], signal: AbortSignal): Promise<void> {
  const { content, layers } = parts.storage;
  for (const chainId of chainIds) {
    const { blob } = layers.get(chainId);
    if (blob !== undefined && !content.has(blob)) await fetchAgain(parts, blob, signal);
  }
}

async function fetchAgain(parts: ImageParts, blob: Digest, signal: AbortSignal): Promise<void> {
  const { content, records } = parts.storage;
  let last: unknown;
  for (const repository of records.distribution.repositoriesOf(blob)) {
    try {
      await parts.registry.pull(parseReference(repository), anonymous, signal, async (from) => {
        const open = await openBlob(from, blob, 0, signal);
        await content.ingest(open.body, { digest: blob }, signal);
      });
      return;
    } catch (error) {
      signal.throwIfAborted();
      last = error;
    }
  }
  throw new EngineError("system", `layer ${blob} was dropped to save space, and no registry has it`, { cause: last });
}

/** Drops blobs, the largest first, until the disk is below the watermark. Says how many. */
export async function trimBlobs(parts: ImageParts, signal: AbortSignal): Promise<number> {
  const { content, layers } = parts.storage;
  let count = 0;
  if (!(await isAboveWatermark(parts))) return count;
  const used = new Set(layers.list().map(({ blob }) => blob));
  const candidates = content.list().filter(({ digest }) => used.has(digest));
  for (const { digest } of candidates.sort((a, b) => b.sizeBytes - a.sizeBytes)) {
    if (!(await isOffered(parts, digest, signal)) || !(await layers.dropBlob(digest))) continue;
    count++;
    parts.log.info({ digest }, "dropped a blob that a registry has");
    if (!(await isAboveWatermark(parts))) break;
  }
  return count;
}

async function isAboveWatermark({ blobs }: ImageParts): Promise<boolean> {
  if (blobs.watermarkPercent >= 100) return false;
  const { blocks, bavail } = await statfs(blobs.directory);
  return ((blocks - bavail) / blocks) * 100 > blobs.watermarkPercent;
}

/** Without credentials: those of the client that pulled it are not kept, so they would be missing when it is needed. */
async function isOffered(parts: ImageParts, blob: Digest, signal: AbortSignal): Promise<boolean> {
  for (const repository of parts.storage.records.distribution.repositoriesOf(blob)) {
    try {
      const there = await parts.registry.inspect(parseReference(repository), anonymous, signal, (from) =>
        statBlob(from, blob, signal),
      );
      if (there !== undefined) return true;
    } catch (error) {
      signal.throwIfAborted();
      parts.log.debug({ err: error, digest: blob, repository }, "a registry does not offer a blob");
    }
  }
  return false;
}
