import type { Duplex } from "node:stream";
import { EngineError, messageOf } from "#base/errors";
import { endsWithin } from "#base/within";
import { RuntimeError } from "#runtime";
import type { Container } from "../container/container.ts";
import { emitContainerEvent } from "../container/container-events.ts";
import type { ContainerContext } from "../container/context.ts";
import { isPausedForExec, runningTask } from "../container/errors.ts";
import type { AttachSession } from "../container/options.ts";
import { attachFor, pump } from "../stream/pump.ts";
import { stdcopyHeader } from "../stream/stdcopy-wrap.ts";
import type { Exec, ExecConfig } from "./exec.ts";
import { execFailureOf } from "./exec-failure.ts";
import { beginExec, createExec, failExec, launchExec } from "./run.ts";

export interface ExecStartOptions {
  /** The client expects raw bytes; without it frames, even from a terminal: moby believes the start, not the create. */
  readonly isTty: boolean;
  /** Height, width; undefined keeps what the create asked for. */
  readonly consoleSize: readonly [number, number] | undefined;
}

/** Ended execs can be inspected this long; moby sweeps every five minutes. */
const keepEndedMs = 5 * 60_000;
/** Unless there are more of them: a health check of somebody's own, or a CI run, makes a hundred a second. */
const maxKept = 4096;
const resizeWaitMs = 10_000;

/** Further processes in running containers: `docker exec`. */
export class ExecService {
  readonly #context: ContainerContext;

  constructor(context: ContainerContext) {
    this.#context = context;
  }

  async create(reference: string, config: ExecConfig): Promise<{ Id: string }> {
    this.#forgetOld();
    const exec = await createExec(this.#context, this.#activeContainer(reference), config);
    return { Id: exec.id };
  }

  /** Checks what has a status code; the process itself starts with `connect`, and its failure is text in the stream. */
  start(id: string, options: ExecStartOptions): AttachSession {
    const { exec, container } = this.#startable(id);
    return { isTty: options.isTty, connect: (client) => this.#runAttached(container, exec, options, client) };
  }

  async startDetached(id: string, options: ExecStartOptions): Promise<void> {
    const { exec, container } = this.#startable(id);
    try {
      await beginExec(this.#context, container, exec, options.consoleSize);
      await launchExec(this.#context, container, exec);
    } catch (error) {
      failExec(container, exec, error);
      throw inDockersWords(error);
    }
  }

  async resize(id: string, height: number, width: number): Promise<void> {
    const { exec, container } = this.#startable(id);
    if (!(await endsWithin(resizeWaitMs, exec.started)))
      throw new EngineError("system", "timeout waiting for exec session ready");
    if (!(await exec.started)) throw new EngineError("invalidParameter", "exec process is not started");
    if (!exec.isRunning) throw new EngineError("notFound", `NotFound: process does not exist ${id}: not found`);
    if (exec.config.isTty) await runningTask(container).resize(height, width, exec.id);
  }

  /** Also for an exec that has ended. */
  inspect(id: string): Exec {
    const exec = this.#get(id);
    if (this.#context.index.find(exec.containerId) === undefined) throw noSuchExec(id);
    return exec;
  }

  async #runAttached(container: Container, exec: Exec, options: ExecStartOptions, client: Duplex): Promise<void> {
    const { attachStdin, attachStdout, attachStderr, isTty } = exec.config;
    try {
      await beginExec(this.#context, container, exec, options.consoleSize);
      const form = { isTty, framing: options.isTty ? "raw" : "stdcopy" } as const;
      const attachment = await attachFor(client, runningTask(container), {
        ...form,
        stdin: attachStdin,
        stdout: attachStdout,
        // A terminal has one stream, and what the start says counts.
        stderr: attachStderr && !options.isTty,
        exec: exec.id,
      });
      const pumping = pump(client, attachment, {
        ...form,
        stdin: attachStdin,
        detachKeys: exec.detachKeys,
        closesStdin: !isTty,
        settled: () => exec.ended,
      });
      await launchExec(this.#context, container, exec);
      const end = await pumping;
      if (end === "detached") emitContainerEvent(this.#context, container, "exec_detach", { execID: exec.id });
    } catch (error) {
      // The text first: once the exec counts as ended, the pump ends the client.
      endWithText(client, options.isTty, `${messageOf(inDockersWords(error))}\r\n`);
      failExec(container, exec, error);
    }
  }

  #get(id: string): Exec {
    const exec = this.#context.execs.get(id);
    if (exec === undefined) throw noSuchExec(id);
    return exec;
  }

  #startable(id: string): { exec: Exec; container: Container } {
    const exec = this.#get(id);
    if (this.#context.index.find(exec.containerId) === undefined) {
      throw new EngineError("notFound", `No such container: ${id}`);
    }
    return { exec, container: this.#activeContainer(exec.containerId) };
  }

  #activeContainer(reference: string): Container {
    const container = this.#context.index.get(reference);
    if (container.status === "paused") throw isPausedForExec(reference);
    runningTask(container);
    return container;
  }

  /** They are in the order of their creation, so that few are looked at. */
  #forgetOld(): void {
    const { execs, index } = this.#context;
    const oldest = Date.now() - keepEndedMs;
    for (const { id, containerId, endedAtMs } of execs.values()) {
      const isAbandoned = index.find(containerId) === undefined;
      if (endedAtMs === undefined && !isAbandoned) continue;
      const isOld = endedAtMs !== undefined && endedAtMs < oldest;
      if (!isOld && !isAbandoned && execs.size < maxKept) return;
      execs.delete(id);
    }
  }
}

const noSuchExec = (id: string): EngineError => new EngineError("notFound", `No such exec instance: ${id}`);

const inDockersWords = (error: unknown): unknown =>
  error instanceof RuntimeError ? execFailureOf(error).error : error;

/** A failing exec was already answered with 101: its error is output, a frame of stdout if the client expects frames. */
function endWithText(client: Duplex, isTty: boolean, text: string): void {
  if (client.writableEnded || client.destroyed) return;
  const payload = Buffer.from(text);
  client.end(isTty ? payload : Buffer.concat([stdcopyHeader(1, payload.length), payload]));
}
