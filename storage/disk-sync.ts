import { closeSync } from "node:fs";
import { AT_FDCWD, O_DIRECTORY, O_RDONLY, openat2, syncfs } from "#native";
import { SharedSync } from "./shared-sync.ts";
import type { WorkerPool } from "./workers/pool.ts";

/** The whole file system that holds `directory`: thousands of fsyncs for a layer's files would cost seconds. */
export class DiskSync extends SharedSync {
  constructor(directory: string, pool: WorkerPool) {
    super(() => pool.run<"sync">({ kind: "sync", directory }));
  }
}

/** For the worker: it blocks. */
export function syncFileSystem(directory: string): void {
  const fd = openat2(AT_FDCWD, directory, { flags: O_RDONLY | O_DIRECTORY });
  try {
    syncfs(fd);
  } finally {
    closeSync(fd);
  }
}
