import type { ContainerSummary } from "#api-schema/container-summary";
import type { Id } from "#base/ids";
import type { Task } from "#runtime";
import type { ContainerRecord, ContainerStatus } from "#storage";
import type { Exec } from "../exec/exec.ts";
import type { WaitResult } from "./options.ts";
import { RestartBackoff } from "./restart-policy.ts";
import type { Sample } from "./stats.ts";

/** Which state may follow which; everything else is a bug in the engine. */
const moves: Readonly<Record<ContainerStatus, readonly ContainerStatus[]>> = {
  created: ["running", "created", "exited", "removing"],
  running: ["paused", "restarting", "exited"],
  paused: ["running", "restarting", "exited"],
  restarting: ["running", "exited"],
  exited: ["running", "exited", "removing"],
  removing: ["dead", "exited"],
  dead: ["removing"],
};

/** Something that is attached before the container runs. It is bound between `create` and `start`, so no byte is missed. */
export type PendingAttach = (task: Task | undefined) => Promise<void>;

/** One container in this daemon's life: the record that is in the database, and what only lives in memory. */
export class Container {
  readonly id: Id;
  readonly record: ContainerRecord;
  /** The shim's client while a task exists: from just before the start until the exit was handled. */
  task: Task | undefined;
  /** The old shim is still cleaning up; a new start waits for it. */
  shimClosed: Promise<void> = Promise.resolve();
  /** What the list last showed, until the record changes. */
  summary: ContainerSummary | undefined;
  /** The last look at its figures. */
  sample: Sample | undefined;
  isRemovalInProgress = false;
  isRemoved = false;
  /** `docker restart` is between its stop and its start: neither the restart policy nor `--rm` acts on this exit. */
  isManualRestart = false;
  /** `docker stop` or `kill` asked for the end of this run: no restart policy applies to it. */
  isExitWanted = false;
  readonly restartBackoff = new RestartBackoff();
  readonly execs = new Map<string, Exec>();
  readonly pendingAttaches = new Set<PendingAttach>();
  /** Ends what belongs to one run: the stats of a stream, a pending restart. */
  run = new AbortController();
  /** Ends them; a pause does too. */
  healthChecks = new AbortController();
  readonly #stopWaiters = new Set<(result: WaitResult) => void>();
  readonly #removalWaiters = new Set<(result: WaitResult) => void>();

  constructor(record: ContainerRecord) {
    this.id = record.id;
    this.record = record;
  }

  get name(): string {
    return this.record.name;
  }

  get status(): ContainerStatus {
    return this.record.state.status;
  }

  /** As moby counts: paused and restarting containers run. */
  get isRunning(): boolean {
    return this.status === "running" || this.status === "paused" || this.status === "restarting";
  }

  moveTo(status: ContainerStatus): void {
    if (!moves[this.status].includes(status))
      throw new Error(`container ${this.id}: ${this.status} cannot become ${status}`);
    this.record.state.status = status;
  }

  /** The next end of a run, or the removal of a container that never ran. Registered at once. */
  waitForStop(signal?: AbortSignal): Promise<WaitResult> {
    return waitIn(this.#stopWaiters, signal);
  }

  waitForRemoval(signal?: AbortSignal): Promise<WaitResult> {
    return waitIn(this.#removalWaiters, signal);
  }

  get isRemovalAwaited(): boolean {
    return this.#removalWaiters.size > 0;
  }

  /** The container has ended, or never ran and is gone. */
  notifyStopped(): void {
    const result = this.waitResult();
    for (const resolve of this.#stopWaiters) resolve(result);
    this.#stopWaiters.clear();
  }

  notifyRemoved(error = ""): void {
    this.record.state.error = error;
    const result = this.waitResult();
    for (const resolve of this.#removalWaiters) resolve(result);
    this.#removalWaiters.clear();
    this.notifyStopped();
  }

  waitResult(): WaitResult {
    const { exitCode, error } = this.record.state;
    return { statusCode: exitCode, error: error === "" ? undefined : error };
  }

  /** Hands the task to everyone who attached early; `undefined` tells them that there will be none. */
  async bindAttached(task: Task | undefined): Promise<void> {
    const pending = [...this.pendingAttaches];
    this.pendingAttaches.clear();
    await Promise.all(pending.map((bind) => bind(task)));
  }
}

type Waiters = Set<(result: WaitResult) => void>;

/** A waiter whose client goes away is forgotten, and answered as moby answers nobody. */
function waitIn(waiters: Waiters, signal: AbortSignal | undefined): Promise<WaitResult> {
  return new Promise((resolve) => {
    waiters.add(resolve);
    const giveUp = () => {
      waiters.delete(resolve);
      resolve({ statusCode: -1, error: "context canceled" });
    };
    signal?.addEventListener("abort", giveUp, { once: true });
  });
}
