import type { ProgressMessage, ProgressOutput } from "./progress.ts";

/** What one transfer runs with. */
export interface Transfer {
  readonly output: ProgressOutput;
  /** Aborted when the last client that waits for it has gone. */
  readonly signal: AbortSignal;
  /** Waits for a turn, and says so when there is none free. */
  readonly takeSlot: (onWait: () => void) => Promise<Disposable>;
}

interface Running<T> {
  readonly result: Promise<T>;
  readonly abort: AbortController;
  readonly watchers: Set<ProgressOutput>;
  last: ProgressMessage | undefined;
  waiting: number;
}

/** The result comes with a hold of its own for each client; the transfer's goes when the last client has taken its. */
export interface Holds<T> {
  readonly take: (value: T) => void;
  readonly release: (value: T) => void;
}

const noHolds = { take: () => undefined, release: () => undefined };

/**
 * Downloads and uploads that several clients may wait for: each runs once, all see its progress, and it ends early only
 * when nobody waits any more (moby distribution/xfer).
 */
export class Transfers<T> {
  readonly #running = new Map<string, Running<T>>();
  /** Abandoned ones that have not let go of what they hold yet. */
  readonly #ending = new Map<string, Promise<unknown>>();
  readonly #queue: (() => void)[] = [];
  readonly #holds: Holds<T>;
  readonly #limit: () => number;
  #busy = 0;

  /** `limit`: how many run at a time, asked whenever one wants to begin; as in moby, 0 is no limit. */
  constructor(limit: () => number, holds: Holds<T> = noHolds) {
    this.#limit = limit;
    this.#holds = holds;
  }

  /** Joins the transfer with this key, or begins it. */
  async share(
    key: string,
    output: ProgressOutput,
    signal: AbortSignal,
    work: (transfer: Transfer) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const running = this.#running.get(key) ?? this.#begin(key, work);
    if (running.last !== undefined) output.write(running.last);
    running.watchers.add(output);
    running.waiting++;
    const gone = Promise.withResolvers<never>();
    const leave = () => gone.reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    try {
      const value = await Promise.race([running.result, gone.promise]);
      this.#holds.take(value);
      return value;
    } finally {
      signal.removeEventListener("abort", leave);
      running.watchers.delete(output);
      if (--running.waiting === 0) this.#abandon(running);
    }
  }

  #begin(key: string, work: (transfer: Transfer) => Promise<T>): Running<T> {
    const abort = new AbortController();
    const watchers = new Set<ProgressOutput>();
    const write = (message: ProgressMessage) => {
      running.last = message;
      for (const watcher of watchers) watcher.write(message);
    };
    const transfer: Transfer = {
      output: {
        write,
        get isCongested() {
          return [...watchers].every((watcher) => watcher.isCongested === true);
        },
      },
      signal: abort.signal,
      takeSlot: (onWait) => this.#takeSlot(onWait, abort.signal),
    };
    // A tick later, so that the first watcher is there when the work begins to talk.
    const result = (this.#ending.get(key) ?? Promise.resolve())
      .then(() => work(transfer))
      .finally(() => this.#forget(key, running));
    const running: Running<T> = { result, abort, watchers, last: undefined, waiting: 0 };
    // Once abandoned it must not be joined: the next client begins afresh.
    abort.signal.addEventListener("abort", () => this.#forget(key, running));
    const ended = result.then(
      () => undefined,
      () => undefined,
    );
    this.#ending.set(key, ended);
    ended.then(() => this.#ending.get(key) === ended && this.#ending.delete(key));
    this.#running.set(key, running);
    return running;
  }

  #abandon(running: Running<T>): void {
    running.abort.abort();
    running.result.then(this.#holds.release, () => undefined);
  }

  #forget(key: string, running: Running<T>): void {
    if (this.#running.get(key) === running) this.#running.delete(key);
  }

  async #takeSlot(onWait: () => void, signal: AbortSignal): Promise<Disposable> {
    if (this.#hasRoom) {
      this.#busy++;
    } else {
      onWait();
      await this.#wait(signal);
    }
    return { [Symbol.dispose]: () => this.#freeSlot() };
  }

  get #hasRoom(): boolean {
    const limit = this.#limit();
    return limit === 0 || this.#busy < limit;
  }

  #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = () => {
      this.#queue.splice(this.#queue.indexOf(turn), 1);
      reject(signal.reason);
    };
    const turn = () => {
      this.#busy++;
      signal.removeEventListener("abort", leave);
      resolve();
    };
    this.#queue.push(turn);
    signal.addEventListener("abort", leave, { once: true });
    return promise;
  }

  #freeSlot(): void {
    this.#busy--;
    while (this.#hasRoom && this.#queue.length > 0) this.#queue.shift()?.();
  }
}
