import { randomUUID } from "node:crypto";
import { renameSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "#base/errors";
import type { Log } from "#base/log";
import { removeDirectory } from "./archive/tree.ts";
import type { WorkerPool } from "./workers/pool.ts";

/** After the reply that caused it, and several at once. */
const delayMs = 20;
/** What the main thread removes itself, in about a millisecond: a short container's layer is smaller than a thread's start. */
const smallEntries = 100;

/** Removes trees in the background. What is renamed into it is gone for everyone, and a crash leaves it to the next start. */
export class Trash {
  readonly #directory: string;
  readonly #pool: WorkerPool;
  readonly #log: Log;
  readonly #running = new Set<Promise<void>>();
  #doomed: string[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(directory: string, pool: WorkerPool, log: Log) {
    this.#directory = directory;
    this.#pool = pool;
    this.#log = log;
  }

  /** One rename, then it is out of the way. Missing is fine. */
  discard(path: string): void {
    const doomed = join(this.#directory, randomUUID());
    try {
      renameSync(path, doomed);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      return;
    }
    this.#add(doomed);
  }

  /** Removes what an earlier run left. */
  async sweep(): Promise<void> {
    for (const name of await readdir(this.#directory)) this.#add(join(this.#directory, name));
  }

  /** Until nothing is left to remove. */
  async settled(): Promise<void> {
    this.#empty();
    await Promise.all(this.#running);
  }

  #add(doomed: string): void {
    this.#doomed.push(doomed);
    this.#timer ??= setTimeout(() => this.#empty(), delayMs).unref();
  }

  #empty(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const directory of this.#doomed.splice(0)) {
      const work = this.#remove(directory).catch((error: unknown) => {
        this.#log.warn({ err: error, directory }, "could not remove a directory; the next start tries again");
      });
      this.#running.add(work);
      void work.finally(() => this.#running.delete(work));
    }
  }

  async #remove(directory: string): Promise<void> {
    if (!removeDirectory(directory, { entries: smallEntries }))
      await this.#pool.run<"remove">({ kind: "remove", directory });
  }
}
