import { open } from "node:fs/promises";
import { errnoOf } from "#base/errors";
import { SharedSync } from "./shared-sync.ts";

const soonMs = 100;

/**
 * Brings the last commits to the disk, off the main thread. A commit itself does not wait for that (synchronous = NORMAL): it
 * costs milliseconds, and most of what is recorded may be lost with the power. What may not asks here.
 */
export class WalSync extends SharedSync {
  #timer: NodeJS.Timeout | undefined;

  constructor(databaseFile: string) {
    super(() => flush(`${databaseFile}-wal`));
  }

  /** For what nobody waits for. A failure shows where somebody does. */
  soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.sync().catch(() => undefined);
    }, soonMs).unref();
  }
}

async function flush(log: string): Promise<void> {
  try {
    await using file = await open(log, "r");
    await file.datasync();
  } catch (error) {
    // Nothing has been committed yet.
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
