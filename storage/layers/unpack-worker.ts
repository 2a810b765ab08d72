import { parentPort } from "node:worker_threads";
import { errnoOf, messageOf } from "#base/errors";
import { fingerprintTree, hashFile } from "../archive/fingerprint.ts";
import { measureTree } from "../archive/measure.ts";
import { followLinks, lstatBelow } from "../archive/root-path.ts";
import { copyTree, packToFd, unpackFromFd } from "../archive/streams.ts";
import { removeDirectory } from "../archive/tree.ts";
import { syncFileSystem } from "../disk-sync.ts";
import { findChanges } from "../snapshots/changes.ts";
import type { Job, JobResults, WorkerMessage, WorkerRequest } from "../workers/jobs.ts";
import { applyLayer } from "./apply.ts";

/* The entry of the storage's worker threads: one job at a time, each answered by one `done` or `failed`. */

const post = (message: WorkerMessage): void => parentPort?.postMessage(message);

let canceller = new AbortController();

async function run(job: Job): Promise<JobResults[Job["kind"]]> {
  switch (job.kind) {
    case "apply":
      return applyLayer(job, canceller.signal, throttledProgress());
    case "pack":
      packToFd(job);
      return null;
    case "unpack":
      unpackFromFd(job);
      return null;
    case "copy":
      copyTree(job);
      return null;
    case "lstat":
      return lstatBelow(job.rootFd, job.path);
    case "follow":
      return followLinks(job.rootFd, job.path, job);
    case "changes":
      return findChanges(job.upper, job.lowerFd);
    case "measure":
      return measureTree(job.directory);
    case "fingerprint":
      return fingerprintTree(job.directory);
    case "hash":
      return hashFile(job.path);
    case "remove":
      removeDirectory(job.directory);
      return null;
    case "sync":
      syncFileSystem(job.directory);
      return null;
    default:
      return job satisfies never;
  }
}

/** A message for each chunk would wake the main thread hundreds of times a second for nobody's benefit. */
function throttledProgress(): (bytes: number) => void {
  let last = 0;
  return (bytes) => {
    const now = performance.now();
    if (now - last < 50) return;
    last = now;
    post({ type: "progress", bytes });
  };
}

async function answer(job: Job): Promise<void> {
  canceller = new AbortController();
  try {
    post({ type: "done", result: await run(job) });
  } catch (error) {
    const path = error instanceof Error && "path" in error && typeof error.path === "string" ? error.path : undefined;
    post({ type: "failed", message: messageOf(error), code: errnoOf(error), path });
  }
}

parentPort?.on("message", (request: WorkerRequest) => {
  if (request.type === "cancel") canceller.abort();
  else void answer(request.job);
});
