import { closeSync } from "node:fs";
import { AT_FDCWD, O_DIRECTORY, O_RDONLY, openat2, syncfs } from "#native";
import type { WorkerPool } from "./workers/pool.ts";

/** Brings to the disk what has been written to its file system: thousands of fsyncs for a layer's files would cost seconds. */
export class DiskSync {
  readonly #directory: string;
  readonly #pool: WorkerPool;
  #last: Promise<unknown> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(directory: string, pool: WorkerPool) {
    this.#directory = directory;
    this.#pool = pool;
  }

  /** When it resolves, all that was written before the call is on the disk. Who comes while one is under way shares the next. */
  sync(): Promise<void> {
    this.#next ??= this.#last.then(() => this.#run());
    return this.#next;
  }

  #run(): Promise<void> {
    this.#next = undefined;
    const done = this.#pool.run<"sync">({ kind: "sync", directory: this.#directory }).then(() => undefined);
    this.#last = done.catch(() => undefined);
    return done;
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
