import { EventEmitter } from "node:events";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { constants } from "node:os";
import type { Duplex } from "node:stream";
import { type Attachment, type AttachOptions, attach } from "./attach.ts";
import { readExitRecord } from "./bundle.ts";
import type { Process, Resources } from "./oci-spec.ts";
import { RuntimeError } from "./runtime-error.ts";
import { dismissShim, openSocket, ShimConnection, shimGone } from "./shim-connection.ts";
import type { Spawner } from "./spawner.ts";
import { refuseUnfitText } from "./unfit-text.ts";
import {
  type ExecExit,
  type ExitRecord,
  numberField,
  parseTaskState,
  type ShimEvent,
  stringField,
  type TaskState,
} from "./wire.ts";

export type { Attachment, AttachOptions } from "./attach.ts";
export type { ExecExit, ExecState, ExitRecord, TaskState, TaskStatus } from "./wire.ts";

export interface StartedExec {
  readonly pid: number;
  /** Resolves when the process has ended and its output was read; rejects if the shim goes first. */
  readonly exited: Promise<ExecExit>;
}

export interface TaskEvents {
  "exec-exit": [ExecExit];
  oom: [];
  "log-rotated": [];
}

/** Where a task's bundle is, and the socket of its shim. */
export interface TaskPlace {
  readonly bundle: string;
  readonly socketPath: string;
}

export interface TaskOptions {
  /** The folder of a checkpoint: `start` goes on from there. */
  readonly checkpoint?: string | undefined;
}

/** The running process of a container, held by its shim: it lives on when this object, or the daemon, does not. */
export class Task extends EventEmitter<TaskEvents> {
  readonly bundle: string;
  readonly socketPath: string;
  /**
   * How the container ended. Rejects with a RuntimeError of stage `shim` if the shim was killed and left no record:
   * then nobody supervises the container any more, and `Spawner.clean` ends what is left of it.
   */
  readonly exited: Promise<ExitRecord>;
  /** Aborted when `exited` is settled: for those who may stop waiting before that, as a promise keeps all who ever asked. */
  readonly ended: AbortSignal;
  /** The shim has let go: the container's mounts and cgroup are gone, its bundle and socket can be used again. */
  readonly closed: Promise<void>;
  #isLetGo = false;
  readonly #connection: ShimConnection;
  readonly #runningExecs = new Map<string, PromiseWithResolvers<ExecExit>>();
  #resolveExit: (record: ExitRecord) => void = () => undefined;
  #pid = 0;
  #bornAt: string | undefined;

  private constructor(place: TaskPlace, socket: Socket) {
    super();
    this.bundle = place.bundle;
    this.socketPath = place.socketPath;
    this.#connection = new ShimConnection(socket, (event) => this.#receive(event));
    this.closed = this.#connection.closed;
    const told = new Promise<ExitRecord>((resolve) => {
      this.#resolveExit = resolve;
    });
    this.exited = Promise.race([told, this.#findExitRecord()]);
    const over = new AbortController();
    this.ended = over.signal;
    const end = () => over.abort();
    this.exited.then(end, end); // whoever waits sees the rejection; nobody has to wait
    void this.closed.then(() => this.#loseExecs());
  }

  /**
   * Starts a shim on the bundle and creates the container in it; its first process waits for `start`. On failure
   * nothing is left but the bundle, and the RuntimeError tells why.
   */
  static async create(place: TaskPlace, spawner: Pick<Spawner, "spawn">, options: TaskOptions = {}): Promise<Task> {
    await spawner.spawn(place.bundle, place.socketPath);
    const socket = await openSocket(place.socketPath);
    if (socket === undefined) throw shimGone();
    const task = new Task(place, socket);
    try {
      await task.#connection.request("subscribe");
      const { checkpoint } = options;
      const created = await task.#connection.request("create", checkpoint === undefined ? {} : { checkpoint });
      task.#learnPid(numberField(created, "pid"));
      return task;
    } catch (error) {
      if (error instanceof RuntimeError && error.isSilent) {
        await dismissShim(place.socketPath).catch(() => task.#connection.close());
      }
      await task.closed;
      throw error;
    }
  }

  /**
   * Finds the task of a bundle again, after the daemon was away; undefined if its shim is gone: see `readExitRecord`.
   * Rejects with a RuntimeError that `isSilent` if there is one that does not answer in time.
   */
  static async connect(place: TaskPlace, patienceMs?: number): Promise<{ task: Task; state: TaskState } | undefined> {
    const socket = await openSocket(place.socketPath);
    if (socket === undefined) return undefined;
    const task = new Task(place, socket);
    try {
      const state = parseTaskState(await task.#connection.request("subscribe", {}, { patienceMs }));
      task.#learnPid(state.pid);
      if (state.exit !== undefined) task.#resolveExit(state.exit);
      return { task, state };
    } catch (error) {
      task.#connection.close();
      if (error instanceof RuntimeError && !error.isSilent) return undefined; // it left between the two lines
      throw error;
    }
  }

  /** The container's first process, as the host numbers it; 0 while a restore waits for `start`. */
  get pid(): number {
    return this.#pid;
  }

  /** False: it has ended, and the kernel may have given its number to another process. */
  get hasPid(): boolean {
    return this.#bornAt !== undefined && birthOf(this.#pid) === this.#bornAt;
  }

  /** Lets the first process run. RFC 3339 time of the start. */
  async start(): Promise<string> {
    const started = await this.#connection.request("start");
    this.#learnPid(numberField(started, "pid"));
    return stringField(started, "startedAt");
  }

  /** To the first process, or to all; RuntimeError with `isGone` when there is none any more. */
  async kill(signal: number, all = false): Promise<void> {
    await this.#connection.request("kill", { signal, all });
  }

  async pause(): Promise<void> {
    await this.#connection.request("pause", {}, { undo: () => this.resume() });
  }

  async resume(): Promise<void> {
    await this.#connection.request("resume", {}, { undo: () => this.#connection.request("pause") });
  }

  /** Writes the processes to a folder; with `exit` they end then. */
  async checkpoint(path: string, options: { readonly exit: boolean }): Promise<void> {
    await this.#connection.request("checkpoint", { path, exit: options.exit });
  }

  async update(resources: Resources): Promise<void> {
    await this.#connection.request("update", { resources });
  }

  async resize(height: number, width: number, exec?: string): Promise<void> {
    await this.#connection.request("resize", { height, width, ...(exec === undefined ? {} : { exec }) });
  }

  async closeStdin(exec?: string): Promise<void> {
    await this.#connection.request("close-stdin", exec === undefined ? {} : { exec });
  }

  /** The socket is the caller's: see Attachment. */
  async attach(options: AttachOptions): Promise<Socket> {
    return (await attach(this.socketPath, options)).socket;
  }

  /** Output goes to the client without passing through us, where the shim can do that. */
  attachClient(client: Duplex, options: AttachOptions): Promise<Attachment> {
    return attach(this.socketPath, options, client);
  }

  /** Registers an exec, so that it can be attached to before it runs. */
  async execCreate(exec: string, process: Process, stdin: boolean): Promise<void> {
    refuseUnfitText(process);
    await this.#connection.request("exec-create", { exec, process, stdin });
  }

  async execStart(exec: string): Promise<StartedExec> {
    const undo = () => this.execKill(exec, constants.signals.SIGKILL);
    // Registered first: a short process ends together with the answer.
    const exit = Promise.withResolvers<ExecExit>();
    exit.promise.catch(() => undefined);
    this.#runningExecs.set(exec, exit);
    try {
      const pid = numberField(await this.#connection.request("exec-start", { exec }, { undo }), "pid");
      return { pid, exited: exit.promise };
    } catch (error) {
      this.#runningExecs.delete(exec);
      throw error;
    }
  }

  async execKill(exec: string, signal: number): Promise<void> {
    await this.#connection.request("exec-kill", { exec, signal });
  }

  /** Forgets an exec that has ended or never ran. */
  async execDelete(exec: string): Promise<void> {
    await this.#connection.request("exec-delete", { exec });
  }

  async state(): Promise<TaskState> {
    return parseTaskState(await this.#connection.request("state"));
  }

  /** Removes a container that was never started, or whose start failed. Done when the shim is gone, if it was before too. */
  async delete(): Promise<void> {
    await this.#connection.request("delete").catch((error: unknown) => {
      if (!(error instanceof RuntimeError && (error.isShimGone || error.isSilent))) throw error;
      if (error.isSilent) this.#connection.close();
    });
    await this.closed;
  }

  /** Lets go of the shim without touching the container: the daemon ends. */
  disconnect(): void {
    this.#isLetGo = true;
    this.#connection.close();
  }

  async #findExitRecord(): Promise<ExitRecord> {
    await this.closed;
    const record = await readExitRecord(this.bundle);
    if (record !== undefined) return record;
    // It runs on, and another daemon will see its end.
    if (this.#isLetGo) return new Promise(() => undefined);
    throw shimGone();
  }

  #loseExecs(): void {
    for (const exit of this.#runningExecs.values()) exit.reject(shimGone());
    this.#runningExecs.clear();
  }

  #learnPid(pid: number): void {
    this.#pid = pid;
    this.#bornAt = birthOf(pid);
  }

  #receive(event: ShimEvent): void {
    switch (event.event) {
      case "exit":
        this.#resolveExit(event);
        return;
      case "oom":
      case "log-rotated":
        this.emit(event.event);
        return;
      case "exec-exit":
        this.#runningExecs.get(event.exec)?.resolve(event);
        this.#runningExecs.delete(event.exec);
        this.emit("exec-exit", event);
        return;
      default:
        event satisfies never;
    }
  }
}

/** starttime of proc_pid_stat(5), which a number and a boot have only once. */
function birthOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
