import type { Readable } from "node:stream";
import { EngineError } from "#base/errors";
import { type Digest, shortId } from "#base/ids";
import { goQuote } from "#base/strconv";
import type { Platform } from "#registry";
import { type ChainId, chainIdOf, type Layer } from "#storage";
import type { ImageParts } from "../parts.ts";
import { advance, ProgressMeter, type ProgressOutput } from "../transfer/progress.ts";
import type { ArchiveFiles } from "./files.ts";

export interface LoadRequest {
  readonly archive: Readable;
  /** No bars. */
  readonly isQuiet: boolean;
  /** Images of other platforms are passed over. */
  readonly platform?: Platform;
}

/** What loading an archive works with. */
export interface Load extends LoadRequest {
  readonly parts: ImageParts;
  readonly files: ArchiveFiles;
  readonly output: ProgressOutput;
  readonly signal: AbortSignal;
}

/** Unpacks what is not here yet; all of them stay as long as `held`. */
export async function loadLayers(
  load: Load,
  paths: readonly string[],
  diffIds: readonly Digest[],
  held: DisposableStack,
): Promise<void> {
  if (paths.length !== diffIds.length) {
    const counts = `expected ${paths.length}, got ${diffIds.length}`;
    throw new EngineError("system", `invalid manifest, layers length mismatch: ${counts}`);
  }
  const { layers } = load.parts.storage;
  let parent: ChainId | undefined;
  for (const [index, diffId] of diffIds.entries()) {
    const chainId = chainIdOf(parent, diffId);
    if (layers.find(chainId) === undefined) {
      const layer = await loadLayer(load, paths[index] ?? "", parent, diffId);
      held.defer(() => void layers.release(layer.chainId));
      if (layer.diffId !== diffId) {
        const pair = `expected ${goQuote(diffId)}, got ${goQuote(layer.diffId)}`;
        throw new EngineError("system", `invalid diffID for layer ${index}: ${pair}`);
      }
    } else {
      layers.retain(chainId);
      held.defer(() => void layers.release(chainId));
    }
    parent = chainId;
  }
}

async function loadLayer(load: Load, path: string, parent: ChainId | undefined, diffId: Digest): Promise<Layer> {
  const { parts, files, output, signal, isQuiet } = load;
  const { digest, sizeBytes } = files.get(path);
  const report = (current: number) => advance(output, shortId(diffId), "Loading layer", current, sizeBytes);
  const meter = new ProgressMeter(sizeBytes, 0, isQuiet ? () => undefined : report);
  const layer = await parts.storage.layers.apply({
    parent,
    blob: digest,
    onProgress: (bytes) => meter.set(bytes),
    signal,
  });
  meter.finish();
  return layer;
}
