import { Worker } from "node:worker_threads";
import { EngineError } from "#base/errors";
import type { Job, JobOf, JobResults, WorkerMessage, WorkerRequest } from "./jobs.ts";
import { workerUrl } from "./worker-url.ts";

export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((bytes: number) => void) | undefined;
  /** What the job depends on (a container, a disk): all that depend on one have a quarter of the threads. */
  readonly key?: string | undefined;
}

interface Waiting {
  readonly key: string | undefined;
  readonly resolve: (slot: WorkerSlot) => void;
}

/** An image's metadata must not be able to grow the process: a worker that needs more than this ends, and its job fails. */
const resourceLimits = { maxOldGenerationSizeMb: 256 };
const idleMs = 10_000;

/** Runs jobs in worker threads: each has one for itself, at most `size` at a time, and idle ones end by themselves. */
export class WorkerPool implements AsyncDisposable {
  readonly #size: number;
  readonly #idle: WorkerSlot[] = [];
  readonly #waiting: Waiting[] = [];
  /** How many of a key's jobs run. */
  readonly #running = new Map<string, number>();
  #count = 0;
  #isClosed = false;

  constructor(size: number) {
    this.#size = size;
  }

  /** Rejects with what the job threw: an error with its `code` and `path`. */
  async run<Kind extends Job["kind"]>(job: JobOf<Kind>, options: RunOptions = {}): Promise<JobResults[Kind]> {
    options.signal?.throwIfAborted();
    const slot = await this.#acquire(options);
    try {
      return await slot.run<Kind>(job, options);
    } finally {
      this.#giveBack(slot, options.key);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#idle.splice(0).map((slot) => slot.end()));
  }

  async #acquire({ key, signal }: RunOptions): Promise<WorkerSlot> {
    if (this.#isClosed) throw new Error("the storage is closed");
    if (!this.#hasRoom(key)) return this.#queue(key, signal);
    const idle = this.#idle.pop();
    if (idle === undefined && this.#count >= this.#size) return this.#queue(key, signal);
    this.#note(key, 1);
    if (idle !== undefined) return idle;
    this.#count++;
    return new WorkerSlot();
  }

  #queue(key: string | undefined, signal: AbortSignal | undefined): Promise<WorkerSlot> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { key, resolve };
      this.#waiting.push(waiting);
      signal?.addEventListener("abort", () => {
        const at = this.#waiting.indexOf(waiting);
        if (at < 0) return;
        this.#waiting.splice(at, 1);
        reject(signal.reason);
      });
    });
  }

  #giveBack(slot: WorkerSlot, key: string | undefined): void {
    this.#note(key, -1);
    const usable = slot.isAlive ? slot : new WorkerSlot();
    const at = this.#waiting.findIndex((waiting) => this.#hasRoom(waiting.key));
    const [next] = at < 0 ? [] : this.#waiting.splice(at, 1);
    if (next !== undefined) {
      this.#note(next.key, 1);
      next.resolve(usable);
      return;
    }
    this.#count--;
    if (!slot.isAlive) return;
    if (this.#isClosed) void slot.end();
    else this.#park(slot);
  }

  #hasRoom(key: string | undefined): boolean {
    return key === undefined || (this.#running.get(key) ?? 0) < Math.ceil(this.#size / 4);
  }

  #note(key: string | undefined, change: 1 | -1): void {
    if (key === undefined) return;
    const count = (this.#running.get(key) ?? 0) + change;
    if (count === 0) this.#running.delete(key);
    else this.#running.set(key, count);
  }

  #park(slot: WorkerSlot): void {
    this.#count++;
    this.#idle.push(slot);
    slot.endAfter(idleMs, () => {
      this.#idle.splice(this.#idle.indexOf(slot), 1);
      this.#count--;
    });
  }
}

/** One worker and the job that it does. The thread starts with the first job. */
class WorkerSlot {
  isAlive = true;
  #worker: Worker | undefined;
  #timer: NodeJS.Timeout | undefined;

  async run<Kind extends Job["kind"]>(job: JobOf<Kind>, options: RunOptions): Promise<JobResults[Kind]> {
    clearTimeout(this.#timer);
    const worker = this.#start();
    worker.ref();
    const cancel = (): void => worker.postMessage({ type: "cancel" } satisfies WorkerRequest);
    options.signal?.addEventListener("abort", cancel, { once: true });
    try {
      const result = settled<Kind>(worker, options);
      worker.postMessage({ type: "run", job } satisfies WorkerRequest);
      return await result;
    } catch (error) {
      options.signal?.throwIfAborted();
      throw error;
    } finally {
      options.signal?.removeEventListener("abort", cancel);
      worker.unref();
    }
  }

  endAfter(ms: number, ended: () => void): void {
    this.#timer = setTimeout(() => {
      ended();
      void this.end();
    }, ms);
    this.#timer.unref();
  }

  async end(): Promise<void> {
    clearTimeout(this.#timer);
    this.isAlive = false;
    await this.#worker?.terminate();
  }

  #start(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    // Descriptors pass between threads by number: who closes one need not be who opened it.
    const worker = new Worker(workerUrl(), { resourceLimits, trackUnmanagedFds: false });
    worker.once("exit", () => {
      this.isAlive = false;
    });
    this.#worker = worker;
    return worker;
  }
}

/** The job's end: its last message, or the thread's death. */
function settled<Kind extends Job["kind"]>(worker: Worker, options: RunOptions): Promise<JobResults[Kind]> {
  const { promise, resolve, reject } = Promise.withResolvers<JobResults[Kind]>();
  const onMessage = (message: WorkerMessage): void => {
    if (message.type === "progress") options.onProgress?.(message.bytes);
    // The worker answers each job with the result of its kind (JobResults is its table).
    else if (message.type === "done") resolve(message.result as JobResults[Kind]);
    else reject(errorOf(message));
  };
  const onExit = (code: number): void => reject(new Error(`worker thread ended with code ${code}`));
  worker.on("message", onMessage);
  worker.once("error", reject);
  worker.once("exit", onExit);
  return promise.finally(() => {
    worker.off("message", onMessage);
    worker.off("error", reject);
    worker.off("exit", onExit);
  });
}

function errorOf({ message, code, path, errorKind }: Extract<WorkerMessage, { type: "failed" }>): Error {
  return errorKind === undefined
    ? Object.assign(new Error(message), { code, path })
    : new EngineError(errorKind, message);
}
