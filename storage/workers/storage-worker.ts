import { accessSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { EngineError, errnoOf, messageOf } from "#base/errors";
import { mount } from "#native";
import { fingerprintTree, hashFile } from "../archive/fingerprint.ts";
import { measureTree } from "../archive/measure.ts";
import { populate } from "../archive/populate.ts";
import { packToFd, unpackFromFd } from "../archive/streams.ts";
import { removeDirectory } from "../archive/tree.ts";
import { syncFileSystem } from "../disk-sync.ts";
import { assemble } from "../foreign/assemble.ts";
import { cloneTree } from "../foreign/clone.ts";
import { makeFolder } from "../foreign/make-folder.ts";
import { readRegularFile } from "../foreign/read-file.ts";
import { followLinks, lstatBelow } from "../foreign/root-path.ts";
import { unmountAll } from "../foreign/unmount.ts";
import { applyLayer } from "../layers/apply.ts";
import { findChanges } from "../snapshots/changes.ts";
import type { Job, JobResults, WorkerMessage, WorkerRequest } from "./jobs.ts";

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
    case "populate":
      populate(job);
      return null;
    case "lstat":
      return lstatBelow(job.rootFd, job.path);
    case "follow":
      return followLinks(job.rootFd, job.path, job);
    case "read":
      return readRegularFile(job.rootFd, job.path);
    case "clone":
      return cloneTree(job);
    case "assemble":
      return assemble(job);
    case "access":
      accessSync(job.path);
      return null;
    case "makeFolder":
      makeFolder(job.path, job.owner);
      return null;
    case "mount":
      mount(job.call);
      return null;
    case "unmount":
      unmountAll(job.target);
      return null;
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
    const errorKind = error instanceof EngineError ? error.kind : undefined;
    post({ type: "failed", message: messageOf(error), code: errnoOf(error), path, errorKind });
  }
}

parentPort?.on("message", (request: WorkerRequest) => {
  if (request.type === "cancel") canceller.abort();
  else void answer(request.job);
});
