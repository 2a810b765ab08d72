/** One piece of work that several wait for: it is cancelled when the last of them has gone. */
export class SharedWork<T> {
  readonly #controller = new AbortController();
  readonly #listeners = new Set<(bytes: number) => void>();
  readonly #result: Promise<T>;
  #waiters = 0;

  constructor(work: (signal: AbortSignal, onProgress: (bytes: number) => void) => Promise<T>) {
    this.#result = work(this.#controller.signal, (bytes) => {
      for (const listener of this.#listeners) listener(bytes);
    });
    // Every waiter hears of a failure; when none is left, nobody needs to.
    this.#result.catch(() => undefined);
  }

  /** Nobody waits any more: the work is ending, and not for whoever comes now. */
  get isCancelled(): boolean {
    return this.#controller.signal.aborted;
  }

  async wait(signal?: AbortSignal, onProgress?: (bytes: number) => void): Promise<T> {
    this.#waiters++;
    if (onProgress !== undefined) this.#listeners.add(onProgress);
    try {
      return await this.#untilAborted(signal);
    } finally {
      if (onProgress !== undefined) this.#listeners.delete(onProgress);
      this.#waiters--;
      if (this.#waiters === 0) this.#controller.abort();
    }
  }

  async #untilAborted(signal: AbortSignal | undefined): Promise<T> {
    if (signal === undefined) return this.#result;
    signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await Promise.race([this.#result, promise]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** When the work is really over, however it ended. */
  async settled(): Promise<void> {
    await this.#result.catch(() => undefined);
  }
}
