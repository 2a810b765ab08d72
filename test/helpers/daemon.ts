import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { busyboxTar } from "./busybox.ts";
import { lineOf, must, type Outcome, type RunOptions, run, stop } from "./command.ts";
import { HttpClient } from "./http.ts";
import { Residue } from "./leaks.ts";
import { hostNetwork, isolatedNetwork, type NetworkPlace } from "./network-place.ts";

export const packageRoot = join(import.meta.dirname, "..", "..");

export interface DaemonOptions {
  /** The package whose bin/minidockd it is; this one by default. */
  readonly package?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** `isolated`: in a network namespace of its own. Default. */
  readonly network?: "isolated" | "host";
  /** With the image busybox:latest. Default. */
  readonly hasBusybox?: boolean;
}

/** The sources, unless test/run has just bundled them. */
export const launchEnvironment = {
  NODE_COMPILE_CACHE: join(packageRoot, ".cache", "compile"),
  MINIDOCK_SOURCES: process.env.MINIDOCK_BUNDLE === undefined ? "1" : "",
};

/** A daemon of a test's own: folders, socket, bridge, subnet and cgroup are nobody else's. */
export class Daemon implements AsyncDisposable {
  readonly folder: string;
  readonly socket: string;
  readonly network: NetworkPlace;
  readonly http: HttpClient;
  readonly #options: DaemonOptions;
  #child: ChildProcess | undefined;
  #ready: Promise<unknown> | undefined;

  constructor(folder: string, network: NetworkPlace, options: DaemonOptions) {
    this.folder = folder;
    this.socket = join(folder, "s");
    this.network = network;
    this.http = new HttpClient(this.socket);
    this.#options = options;
  }

  get host(): string {
    return `unix://${this.socket}`;
  }
  get dataRoot(): string {
    return join(this.folder, "data");
  }
  get execRoot(): string {
    return join(this.folder, "exec");
  }
  get cgroupParent(): string {
    return `/${basename(this.folder)}`;
  }
  get logFile(): string {
    return join(this.folder, "log");
  }
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Returns when the API answers. */
  async start(): Promise<void> {
    this.launch();
    await this.ready();
  }

  /** Starts it, and no more. Its pid is known when this returns. */
  launch(): void {
    const { network } = this;
    const flags = [
      ...["--data-root", this.dataRoot, "--exec-root", this.execRoot, "--pidfile", join(this.folder, "pid")],
      ...["--config-file", join(this.folder, "daemon.json"), "-H", this.host, "--cgroup-parent", this.cgroupParent],
      ...network.daemonFlags,
    ];
    // RUNTIME=runc test/run e2e, or RUNTIME=/usr/local/bin/runc: the same tests on another launcher.
    const { RUNTIME: runtime } = process.env;
    if (runtime?.startsWith("/")) flags.push("--add-runtime", `other=${runtime}`, "--default-runtime", "other");
    else if (runtime !== undefined) flags.push("--default-runtime", runtime);
    const program = join(this.#options.package ?? packageRoot, "bin", "minidockd");
    const argv = [...network.prefix, program, ...flags, ...(this.#options.args ?? [])];
    const [file = "", ...rest] = argv;
    const child = spawn(file, rest, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...launchEnvironment, ...this.#options.env },
    });
    const log = createWriteStream(this.logFile, { flags: "a" });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    this.#child = child;
    this.#ready = lineOf(child, /API listen/);
    this.#ready.catch(() => undefined);
  }

  /** What `launch` began: rejects when the daemon ends instead. */
  async ready(): Promise<void> {
    await this.#ready;
  }

  /** As `systemctl stop` does it. */
  async stop(): Promise<void> {
    if (this.#child !== undefined) await stop(this.#child);
  }

  /** As a crash does it: nothing is finished, nothing is told. */
  async kill(): Promise<void> {
    if (this.#child !== undefined) await stop(this.#child, "SIGKILL");
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** The stock CLI. */
  docker(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return run(["docker", ...argv], { ...options, env: { ...this.environment, ...options.env } });
  }

  /** The stock CLI, for what must succeed: what it printed. */
  ok(...argv: string[]): Promise<string> {
    return must(["docker", ...argv], { env: this.environment });
  }

  /** The stock CLI, going on by itself; for `attach`, `logs -f`, `events`. */
  spawnDocker(argv: readonly string[]): ChildProcess {
    return spawn("docker", [...argv], { env: { ...process.env, ...this.environment }, stdio: "pipe" });
  }

  /** A command where published ports and the bridge are. */
  inNetwork(...argv: string[]): Promise<string> {
    return must([...this.network.prefix, ...argv]);
  }

  get environment(): Record<string, string> {
    return { DOCKER_HOST: this.host, DOCKER_CONFIG: join(this.folder, "cli"), DOCKER_BUILDKIT: "0" };
  }

  get log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, "utf8") : "";
  }

  async loadBusybox(): Promise<void> {
    await this.ok("import", "-c", 'CMD ["sh"]', await busyboxTar(), "busybox:latest");
  }

  /** Removes what runs, ends the daemon, and fails if anything of it is left on the machine. */
  async [Symbol.asyncDispose](): Promise<void> {
    await using undo = new AsyncDisposableStack();
    undo.use(this.network);
    undo.defer(() => this.stop());
    if (this.isRunning) {
      await this.#removeAll(["ps", "-aq"], ["rm", "-fv"]);
      await this.#removeAll(["network", "ls", "-q", "-f", "type=custom"], ["network", "rm"]);
      await this.stop();
    }
    const left = await new Residue(this).remaining();
    if (left.length > 0)
      throw new Error(`left behind by the daemon in ${this.folder}:\n${left.join("\n")}\n${this.log}`);
    rmSync(this.folder, { recursive: true, force: true });
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async #removeAll(list: readonly string[], remove: readonly string[]): Promise<void> {
    const ids = (await this.ok(...list)).split("\n").filter((id) => id !== "");
    if (ids.length > 0) await this.ok(...remove, ...ids);
  }
}

export async function startDaemon(options: DaemonOptions = {}): Promise<Daemon> {
  const network = await (options.network === "host" ? hostNetwork() : isolatedNetwork());
  const folder = mkdtempSync("/var/tmp/mdt-");
  mkdirSync(join(folder, "cli"));
  // Not the machine's own.
  writeFileSync(join(folder, "daemon.json"), "{}");
  const daemon = new Daemon(folder, network, options);
  await using undo = new AsyncDisposableStack();
  undo.use(daemon);
  await daemon.start();
  if (options.hasBusybox !== false) await daemon.loadBusybox();
  undo.move();
  return daemon;
}
