import { open } from "node:fs/promises";
import { errnoOf } from "#base/errors";

/**
 * Brings the last commits to the disk, off the main thread. A commit itself does not wait for that (synchronous = NORMAL): it
 * costs milliseconds, and most of what is recorded may be lost with the power. What may not asks here, and many ask at once.
 */
export class WalSync {
  readonly #path: string;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(databaseFile: string) {
    this.#path = `${databaseFile}-wal`;
  }

  /** When it returns, what was committed before the call outlives a power cut. */
  sync(): Promise<void> {
    if (this.#running === undefined) return this.#begin();
    // The one that runs may have begun before the caller's commit.
    this.#next ??= this.#running.catch(() => undefined).then(() => this.#begin());
    return this.#next;
  }

  #begin(): Promise<void> {
    this.#next = undefined;
    this.#running = this.#flush().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #flush(): Promise<void> {
    try {
      await using log = await open(this.#path, "r");
      await log.datasync();
    } catch (error) {
      // Nothing has been committed yet.
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }
}
