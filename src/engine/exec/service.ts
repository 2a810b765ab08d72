import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { EngineError, isKind, messageOf } from "#base/errors";
import { shortId } from "#base/ids";
import { RuntimeError } from "#runtime";
import type { Container } from "../container/container.ts";
import { emitContainerEvent } from "../container/container-events.ts";
import type { ContainerContext } from "../container/context.ts";
import { isPausedForExec, runningTask } from "../container/errors.ts";
import type { AttachSession } from "../container/options.ts";
import { openUserFiles } from "../container/user-files.ts";
import { execProcess } from "../spec/index.ts";
import { parseDetachKeys } from "../stream/detach-keys.ts";
import { pump } from "../stream/pump.ts";
import { Exec, type ExecConfig } from "./exec.ts";
import { execFailureOf } from "./exec-failure.ts";

export interface ExecStartOptions {
  readonly isTty: boolean;
  /** Height, width; undefined keeps what the create asked for. */
  readonly consoleSize: readonly [number, number] | undefined;
}

/** Ended execs can be inspected this long; moby sweeps every five minutes. */
const keepEndedMs = 5 * 60_000;
const resizeWaitMs = 10_000;

/** Further processes in running containers: `docker exec`. */
export class ExecService {
  readonly #context: ContainerContext;
  readonly #execs = new Map<string, Exec>();

  constructor(context: ContainerContext) {
    this.#context = context;
  }

  async create(reference: string, config: ExecConfig): Promise<{ Id: string }> {
    this.#forgetOld();
    const container = this.#activeContainer(reference);
    const detachKeys = parseDetachKeys(config.detachKeys);
    if (detachKeys === undefined) {
      throw new EngineError("system", `Invalid escape keys (${config.detachKeys}) provided`);
    }
    await using userFiles = await openUserFiles(this.#context, container);
    const process = await execProcess(container.record, config, { readFile: userFiles.read, host: this.#context.host });
    const exec = new Exec(container.id, config, process, detachKeys);
    this.#execs.set(exec.id, exec);
    container.execs.set(exec.id, exec);
    emitContainerEvent(this.#context, container, `exec_create: ${commandOf(config)}`, { execID: exec.id });
    return { Id: exec.id };
  }

  /** Checks what has a status code; the process itself starts with `connect`, and its failure is text in the stream. */
  start(id: string, options: ExecStartOptions): AttachSession {
    const exec = this.#get(id);
    this.#activeContainerOf(exec);
    return { isTty: exec.config.isTty, connect: (client) => this.#runAttached(exec, options, client) };
  }

  async startDetached(id: string, options: ExecStartOptions): Promise<void> {
    const exec = this.#get(id);
    const container = this.#activeContainerOf(exec);
    try {
      await this.#begin(container, exec, options);
      await this.#launch(container, exec);
    } catch (error) {
      this.#fail(exec, error);
      throw error instanceof RuntimeError ? execFailureOf(error).error : error;
    }
  }

  async resize(id: string, height: number, width: number): Promise<void> {
    const exec = this.#get(id);
    const container = this.#activeContainerOf(exec);
    const isStarted = await Promise.race([exec.started, delay(resizeWaitMs, undefined, { ref: false })]);
    if (isStarted === undefined) throw new EngineError("system", "timeout waiting for exec session ready");
    if (!isStarted) throw new EngineError("invalidParameter", "exec process is not started");
    await runningTask(container).resize(height, width, exec.id);
  }

  /** Also for an exec that has ended. */
  inspect(id: string): Exec {
    const exec = this.#execs.get(id);
    if (exec === undefined) throw new EngineError("notFound", `No such exec instance: ${id}`);
    return exec;
  }

  /** A removed container takes its execs along. */
  forget(container: Container): void {
    for (const id of container.execs.keys()) this.#execs.delete(id);
  }

  async #runAttached(exec: Exec, options: ExecStartOptions, client: Duplex): Promise<void> {
    const container = this.#context.index.get(exec.containerId);
    try {
      await this.#begin(container, exec, options);
      const { attachStdin, attachStdout, attachStderr, isTty } = exec.config;
      const task = runningTask(container);
      const shim = await task.attach({
        stdin: attachStdin,
        stdout: attachStdout,
        stderr: attachStderr,
        exec: exec.id,
      });
      const pumping = pump(client, shim, {
        stdin: attachStdin,
        isTty,
        framing: "stdcopy",
        detachKeys: exec.detachKeys,
        closesStdin: true,
        settled: exec.ended,
      });
      await this.#launch(container, exec);
      const end = await pumping;
      if (end === "detached") emitContainerEvent(this.#context, container, "exec_detach", { execID: exec.id });
    } catch (error) {
      // The text first: once the exec counts as ended, the pump ends the client.
      const failure = error instanceof RuntimeError ? execFailureOf(error).error : error;
      endWithText(client, exec.config.isTty, `${messageOf(failure)}\r\n`);
      this.#fail(exec, error);
    }
  }

  /** Registers the exec with the shim, so that it can be attached to. */
  async #begin(container: Container, exec: Exec, options: ExecStartOptions): Promise<void> {
    if (exec.exitCode !== undefined) throw new EngineError("conflict", `exec command ${exec.id} has already run`);
    if (exec.isRunning) throw new EngineError("conflict", `exec command ${exec.id} is already running`);
    exec.isRunning = true;
    emitContainerEvent(this.#context, container, `exec_start: ${commandOf(exec.config)}`, { execID: exec.id });
    const size = options.consoleSize ?? exec.config.consoleSize;
    const hasSize = exec.process.terminal === true && size !== undefined;
    const process = hasSize ? { ...exec.process, consoleSize: { height: size[0], width: size[1] } } : exec.process;
    await runningTask(container).execCreate(exec.id, process, exec.config.attachStdin);
  }

  async #launch(container: Container, exec: Exec): Promise<void> {
    const { pid, exited } = await runningTask(container).execStart(exec.id);
    exec.begin(pid);
    void exited
      .then(({ exitCode }) => exec.end(exitCode))
      // The container, and the shim with it, is gone: so is the process.
      .catch(() => exec.end(137))
      .then(() => this.#announceEnd(container, exec));
  }

  #announceEnd(container: Container, exec: Exec): void {
    container.execs.delete(exec.id);
    emitContainerEvent(this.#context, container, "exec_die", { execID: exec.id, exitCode: String(exec.exitCode) });
    void container.task?.execDelete(exec.id).catch(() => undefined);
  }

  /** A second start of the same exec fails too, and must not end the first. */
  #fail(exec: Exec, error: unknown): void {
    if (isKind(error, "conflict")) return;
    this.#context.log.debug({ id: shortId(exec.containerId), err: error }, "exec failed");
    if (exec.endedAtMs === undefined) exec.end(error instanceof RuntimeError ? execFailureOf(error).exitCode : 126);
  }

  #get(id: string): Exec {
    const exec = this.inspect(id);
    if (this.#context.index.find(exec.containerId) === undefined) {
      throw new EngineError("notFound", `No such container: ${id}`);
    }
    return exec;
  }

  #activeContainerOf(exec: Exec): Container {
    return this.#activeContainer(exec.containerId);
  }

  #activeContainer(reference: string): Container {
    const container = this.#context.index.get(reference);
    if (container.status === "paused") throw isPausedForExec(reference);
    runningTask(container);
    return container;
  }

  #forgetOld(): void {
    const oldest = Date.now() - keepEndedMs;
    for (const exec of this.#execs.values()) {
      const isOld = exec.endedAtMs !== undefined && exec.endedAtMs < oldest;
      if (isOld || this.#context.index.find(exec.containerId) === undefined) this.#execs.delete(exec.id);
    }
  }
}

const commandOf = ({ cmd: [entrypoint = "", ...args] }: ExecConfig): string => `${entrypoint} ${args.join(" ")}`;

/** A failing exec was already answered with 101: its error is output (a stdout frame without a terminal). */
function endWithText(client: Duplex, isTty: boolean, text: string): void {
  if (client.writableEnded || client.destroyed) return;
  const payload = Buffer.from(text);
  if (isTty) return void client.end(payload);
  const header = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(payload.length, 4);
  client.end(Buffer.concat([header, payload]));
}
