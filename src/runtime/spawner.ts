import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { type IdMappings, mapText } from "#base/id-mappings";
import type { Log } from "#base/log";
import { within } from "#base/within";
import { LineReader } from "./lines.ts";
import { RuntimeError } from "./runtime-error.ts";
import { dismissShim } from "./shim-connection.ts";
import { numberField, parseFailure, parseFields } from "./wire.ts";

/** It forks and binds, no more; a machine may be busy. */
const patienceMs = 30_000;

interface Waiting {
  resolve(pid: number): void;
  reject(error: Error): void;
}

/** Paths where nothing is yet. One of `joins` and `mappings` is needed. */
export interface NamespacesRequest {
  readonly user?: string;
  /** Belongs to the user namespace. */
  readonly network?: string;
  /** A user namespace that there is already. */
  readonly joins?: string;
  /** Of a new one. */
  readonly mappings?: IdMappings;
}

export interface SpawnerOptions {
  readonly binary: string;
  readonly log: Log;
  /** RLIMIT_NOFILE, soft, for containers; undefined leaves this process's own. */
  readonly softFileLimit?: number | undefined;
}

/**
 * The resident native helper that starts shims, so that this process, whose heap grows, never forks again. Call `start`
 * before anything else of the daemon takes memory.
 */
export class Spawner implements AsyncDisposable {
  readonly #binary: string;
  readonly #log: Log;
  readonly #softFileLimit: number | undefined;
  readonly #waiting: Waiting[] = [];
  #child: ChildProcess;
  #isDisposed = false;

  private constructor({ binary, log, softFileLimit }: SpawnerOptions) {
    this.#binary = binary;
    this.#log = log;
    this.#softFileLimit = softFileLimit;
    this.#child = this.#launch();
  }

  static async start(options: SpawnerOptions): Promise<Spawner> {
    const spawner = new Spawner(options);
    if (spawner.#child.pid === undefined) await once(spawner.#child, "spawn"); // rejects with the reason
    return spawner;
  }

  /** Starts a shim on a bundle; its socket listens when this resolves. */
  async spawn(bundle: string, socket: string): Promise<number> {
    // Of an earlier start that was given up.
    if (existsSync(socket)) await dismissShim(socket);
    return this.#request({ op: "spawn", bundle, socket });
  }

  /** For a bundle whose shim was killed: ends what is left of its container. Resolves when that has begun. */
  clean(bundle: string): Promise<number> {
    return this.#request({ op: "clean", bundle });
  }

  /** Starts another resident helper, which stays when the daemon goes; its socket listens when this resolves. */
  help(binary: string, socket: string): Promise<number> {
    return this.#request({ op: "help", binary, socket });
  }

  /** Namespaces with a name in the file system, for a container to come. Who has many threads cannot make them itself. */
  async makeNamespaces({ user, network, joins, mappings }: NamespacesRequest): Promise<void> {
    const maps = mappings && { uidMap: mapText(mappings.uids), gidMap: mapText(mappings.gids) };
    await this.#request({ op: "namespaces", user, network, joins, ...maps });
  }

  /** The shims stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    if (hasEnded(this.#child)) return;
    const exited = once(this.#child, "exit");
    this.#child.stdin?.end();
    await exited;
  }

  /** minispawn answers in the order of the requests. */
  #request(request: object): Promise<number> {
    if (this.#isDisposed) return Promise.reject(gone());
    // Nothing but the out-of-memory killer ends it; the price of one fork is better than an engine that starts nothing.
    if (hasEnded(this.#child)) this.#child = this.#launch();
    const answer = new Promise<number>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    });
    return within(patienceMs, answer, silent);
  }

  /** A session of its own: an interrupt at the daemon's terminal is not for the containers. */
  #launch(): ChildProcess {
    const lines = new LineReader();
    const child = spawn(...this.#command(), { stdio: ["pipe", "pipe", "inherit"], detached: true });
    child.stdin.on("error", () => undefined); // "exit" tells
    child.stdout.on("data", (chunk: Buffer) => {
      for (const line of lines.push(chunk)) this.#settle(line);
    });
    child.on("error", (err) => this.#lose({ err }));
    child.on("exit", (exitCode, signal) => this.#lose({ exitCode, signal }));
    return child;
  }

  /** Node raises its own limit of open files, and containers inherit what minispawn has: the shell puts it back. */
  #command(): [file: string, args: string[]] {
    if (this.#softFileLimit === undefined) return [this.#binary, []];
    return ["/bin/sh", ["-c", 'ulimit -Sn "$1" && exec "$0"', this.#binary, `${this.#softFileLimit}`]];
  }

  #lose(reason: object): void {
    for (const waiting of this.#waiting.splice(0)) waiting.reject(gone());
    if (!this.#isDisposed) this.#log.error(reason, "minispawn ended");
  }

  #settle(line: string): void {
    const waiting = this.#waiting.shift();
    const answer = parseFields(line);
    if (answer.error === undefined) waiting?.resolve(numberField(answer, "pid"));
    else waiting?.reject(parseFailure(answer.error));
  }
}

const hasEnded = (child: ChildProcess): boolean =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null;

const silent = (): RuntimeError =>
  new RuntimeError({
    stage: "runtime",
    errno: constants.errno.ETIMEDOUT,
    message: `minispawn has not answered within ${patienceMs / 1000} s`,
  });

const gone = (): RuntimeError => new RuntimeError({ stage: "runtime", errno: 0, message: "minispawn has ended" });
