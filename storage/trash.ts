import { randomUUID } from "node:crypto";
import { renameSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "#base/errors";
import type { Log } from "#base/log";
import { type Allowance, removeDirectory } from "./archive/tree.ts";
import type { WalSync } from "./wal-sync.ts";
import type { WorkerPool } from "./workers/pool.ts";

/** After the reply that caused it, and several at once. */
const delayMs = 20;
/** What the main thread takes itself at a time: a short container's layer is gone sooner than a thread has started. */
const shortMs = 2;

export interface TrashParts {
  /** What is to be removed is renamed into here first. */
  readonly directory: string;
  readonly pool: WorkerPool;
  readonly wal: WalSync;
  readonly log: Log;
}

/**
 * Removes trees whose rows are gone, in the background. Only when that is on the disk: a power cut must not bring a row back
 * without its files. Then each is renamed away, so that it is whole or gone, and a crash leaves it to the next start.
 */
export class Trash {
  readonly #parts: TrashParts;
  readonly #running = new Set<Promise<void>>();
  #doomed: string[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: TrashParts) {
    this.#parts = parts;
  }

  /** A folder that nobody looks for any more, and whose name nobody uses again. Missing is fine. */
  discard(path: string): void {
    this.#doomed.push(path);
    this.#timer ??= setTimeout(() => void this.clear(), delayMs).unref();
  }

  /** Removes what an earlier run left. */
  async sweep(): Promise<void> {
    const { directory } = this.#parts;
    for (const name of await readdir(directory)) this.discard(join(directory, name));
  }

  /** Until all of it is out of the way; the removal itself goes on in the background. */
  clear(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#follow(this.#renameAll(this.#doomed.splice(0)), "could not remove folders");
  }

  /** Until nothing is left to remove. */
  async settled(): Promise<void> {
    await this.clear();
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #renameAll(paths: readonly string[]): Promise<void> {
    if (paths.length === 0) return;
    const { wal, directory } = this.#parts;
    await wal.sync();
    // For all of them together: an image of many layers goes at once.
    const allowance = { until: performance.now() + shortMs };
    for (const path of paths) {
      const doomed = join(directory, randomUUID());
      if (isRenamed(path, doomed)) void this.#follow(this.#empty(doomed, allowance), "could not empty a folder");
    }
  }

  /** Never rejects: the next start tries again. */
  #follow(work: Promise<void>, message: string): Promise<void> {
    const end = work
      .catch((error: unknown) => this.#parts.log.warn({ err: error }, message))
      .finally(() => this.#running.delete(end));
    this.#running.add(end);
    return end;
  }

  async #empty(directory: string, allowance: Allowance): Promise<void> {
    if (!removeDirectory(directory, allowance)) await this.#parts.pool.run<"remove">({ kind: "remove", directory });
  }
}

/** False: there was nothing. */
function isRenamed(path: string, doomed: string): boolean {
  try {
    renameSync(path, doomed);
    return true;
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    return false;
  }
}
