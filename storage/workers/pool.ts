import { Worker } from "node:worker_threads";
import { workerUrl } from "../layers/worker-url.ts";
import type { Job, JobOf, JobResults, WorkerMessage, WorkerRequest } from "./jobs.ts";

export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** An image's metadata must not be able to grow the process: a worker that needs more than this ends, and its job fails. */
const resourceLimits = { maxOldGenerationSizeMb: 256 };
const idleMs = 10_000;

/** Runs jobs in worker threads: each has one for itself, at most `size` at a time, and idle ones end by themselves. */
export class WorkerPool implements AsyncDisposable {
  readonly #size: number;
  readonly #idle: WorkerSlot[] = [];
  readonly #waiting: ((slot: WorkerSlot) => void)[] = [];
  #count = 0;
  #isClosed = false;

  constructor(size: number) {
    this.#size = size;
  }

  /** Rejects with what the job threw: an error with its `code` and `path`. */
  async run<Kind extends Job["kind"]>(job: JobOf<Kind>, options: RunOptions = {}): Promise<JobResults[Kind]> {
    options.signal?.throwIfAborted();
    const slot = await this.#acquire();
    try {
      return await slot.run<Kind>(job, options);
    } finally {
      this.#giveBack(slot);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#idle.splice(0).map((slot) => slot.end()));
  }

  async #acquire(): Promise<WorkerSlot> {
    if (this.#isClosed) throw new Error("the storage is closed");
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#count >= this.#size) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#count++;
    return new WorkerSlot();
  }

  #giveBack(slot: WorkerSlot): void {
    const usable = slot.isAlive ? slot : new WorkerSlot();
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next(usable);
      return;
    }
    this.#count--;
    if (!slot.isAlive) return;
    if (this.#isClosed) void slot.end();
    else this.#park(slot);
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
    else reject(Object.assign(new Error(message.message), { code: message.code, path: message.path }));
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
