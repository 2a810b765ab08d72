import { newId } from "#base/ids";
import type { Process } from "#runtime";

/** What POST /containers/{id}/exec asked for. */
export interface ExecConfig {
  readonly user: string;
  readonly isPrivileged: boolean;
  readonly isTty: boolean;
  /** Height, width. */
  readonly consoleSize: readonly [number, number] | undefined;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  readonly detachKeys: string;
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly cmd: readonly string[];
}

/** A further process in a container. It is kept in memory only: dockerd, too, forgets its execs when it restarts. */
export class Exec {
  readonly id = newId();
  readonly containerId: string;
  readonly config: ExecConfig;
  readonly process: Process;
  readonly detachKeys: Buffer;
  pid = 0;
  isRunning = false;
  exitCode: number | undefined;
  /** When it ended, for forgetting it later; milliseconds since 1970. */
  endedAtMs: number | undefined;
  readonly #ended = Promise.withResolvers<number>();
  readonly #started = Promise.withResolvers<boolean>();

  constructor(containerId: string, config: ExecConfig, process: Process, detachKeys: Buffer) {
    this.containerId = containerId;
    this.config = config;
    this.process = process;
    this.detachKeys = detachKeys;
  }

  /** Resolves with the exit code. */
  get ended(): Promise<number> {
    return this.#ended.promise;
  }

  /** Resolves with whether there is a process, once that is known. */
  get started(): Promise<boolean> {
    return this.#started.promise;
  }

  begin(pid: number): void {
    this.pid = pid;
    this.#started.resolve(true);
  }

  end(exitCode: number): void {
    if (this.endedAtMs !== undefined) return;
    this.isRunning = false;
    this.exitCode = exitCode;
    this.endedAtMs = Date.now();
    this.#started.resolve(this.pid !== 0);
    this.#ended.resolve(exitCode);
  }
}
