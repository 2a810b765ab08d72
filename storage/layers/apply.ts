import { createHash } from "node:crypto";
import { closeSync, createReadStream, statSync } from "node:fs";
import { type Digest, sha256Digest } from "#base/ids";
import { AT_FDCWD, O_DIRECTORY, O_PATH, openat2 } from "#native";
import { Budget, limitsFor } from "../archive/budget.ts";
import { decompress } from "../archive/compression.ts";
import { measureTree } from "../archive/measure.ts";
import { Placer } from "../archive/placer.ts";
import { TarReader } from "../tar/reader.ts";
import type { JobOf, JobResults } from "../workers/jobs.ts";
import { placeWhiteout } from "./whiteouts.ts";

export class DigestError extends Error {
  readonly code = "EDIGEST";
  constructor(expected: Digest, found: Digest) {
    super(`wrong digest: expected ${expected}, found ${found}`);
    this.name = "DigestError";
  }
}

/** For the worker: unpacks a layer into an empty directory. Its bytes are not on the disk yet. */
export async function applyLayer(
  job: JobOf<"apply">,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<JobResults["apply"]> {
  const rootFd = openat2(AT_FDCWD, job.directory, { flags: O_PATH | O_DIRECTORY });
  try {
    const budget = new Budget(limitsFor(statSync(job.blobPath).size), job.directory);
    using placer = new Placer({ rootFd, budget, intercept: placeWhiteout });
    const { diffId, tarBytes } = await feed(job.blobPath, placer, signal, onProgress);
    if (job.diffId !== undefined && job.diffId !== diffId) throw new DigestError(job.diffId, diffId);
    placer.finish();
    const sizeBytes = placer.hasReplaced ? measureTree(job.directory) : placer.contentBytes;
    return { diffId, sizeBytes, tarBytes };
  } finally {
    closeSync(rootFd);
  }
}

async function feed(
  blobPath: string,
  placer: Placer,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<{ diffId: Digest; tarBytes: number }> {
  const source = createReadStream(blobPath, { highWaterMark: 1 << 18 });
  const reader = new TarReader(placer);
  const hash = createHash("sha256");
  let tarBytes = 0;
  for await (const chunk of decompress(source)) {
    signal.throwIfAborted();
    hash.update(chunk);
    tarBytes += chunk.length;
    reader.write(chunk);
    onProgress(source.bytesRead);
  }
  reader.end();
  return { diffId: sha256Digest(hash.digest("hex")), tarBytes };
}
