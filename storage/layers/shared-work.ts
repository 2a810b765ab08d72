/** What the work does: makes a value, or fails. */
export type Work<T> = (signal: AbortSignal, onProgress: (bytes: number) => void) => Promise<T>;

/**
 * One piece of work that several wait for. When the last of them has gone before the end, it is cancelled; when the last has
 * taken its share of the value, the work's own share is given back by `release`.
 */
export class SharedWork<T> {
  readonly #controller = new AbortController();
  readonly #listeners = new Set<(bytes: number) => void>();
  readonly #release: (value: T) => void;
  readonly #result: Promise<T>;
  #value: T | undefined;
  #waiters = 0;

  constructor(work: Work<T>, release: (value: T) => void) {
    this.#release = release;
    this.#result = work(this.#controller.signal, (bytes) => {
      for (const listener of this.#listeners) listener(bytes);
    });
    // Before any waiter goes on. Every waiter hears of a failure; when none is left, nobody needs to.
    this.#result.then(
      (value) => this.#settle(value),
      () => undefined,
    );
  }

  /** Nobody waits any more: the work is over or ending, and not for whoever comes now. */
  get isAbandoned(): boolean {
    return this.#controller.signal.aborted;
  }

  /** `take` makes the waiter's own share while the work still has its. */
  async wait<R>(take: (value: T) => R, signal?: AbortSignal, onProgress?: (bytes: number) => void): Promise<R> {
    this.#waiters++;
    if (onProgress !== undefined) this.#listeners.add(onProgress);
    try {
      return take(await this.#untilAborted(signal));
    } finally {
      if (onProgress !== undefined) this.#listeners.delete(onProgress);
      this.#leave();
    }
  }

  /** When the work is really over, however it ended. */
  async settled(): Promise<void> {
    await this.#result.catch(() => undefined);
  }

  #leave(): void {
    this.#waiters--;
    if (this.#waiters > 0) return;
    this.#controller.abort();
    if (this.#value !== undefined) this.#release(this.#value);
  }

  /** The abort may come too late to stop it. */
  #settle(value: T): void {
    if (this.isAbandoned) this.#release(value);
    else this.#value = value;
  }

  async #untilAborted(signal: AbortSignal | undefined): Promise<T> {
    signal?.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const abort = (): void => reject(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await Promise.race([this.#result, promise]);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }
}
