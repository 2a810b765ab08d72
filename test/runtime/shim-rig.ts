import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, rmdir, symlink } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { basename, join } from "node:path";
import { buffer } from "node:stream/consumers";
import { errnoOf } from "#base/errors";
import { createLog } from "#base/log";
import { type Process, type ShimConfig, Spawner, type Spec, Task, writeBundle } from "#runtime";

const root = new URL("../..", import.meta.url).pathname;
const built = join(root, "runtime-native/build");
/** The OCI runtime under the shim: ours, or what RUNTIME names (runc, crun). */
export const runtime = process.env.RUNTIME ?? join(built, "minirun");
export const spawnBinary = join(process.env.SHIM_BUILD ?? built, "minispawn");

/** A folder with a busybox root file system and a spawner, as the daemon would have them. */
export class Rig implements AsyncDisposable {
  readonly directory: string;
  readonly spawner: Spawner;
  readonly cgroupParent: string;
  readonly #containers: TestContainer[] = [];

  private constructor(directory: string, spawner: Spawner) {
    this.directory = directory;
    this.spawner = spawner;
    this.cgroupParent = `/shim-${basename(directory)}`;
  }

  static async start(): Promise<Rig> {
    await mkdir("/var/tmp/shim", { recursive: true });
    const directory = await mkdtemp("/var/tmp/shim/rig-");
    await mkdir(join(directory, "image/bin"), { recursive: true });
    for (const folder of ["proc", "dev", "sys", "tmp"]) await mkdir(join(directory, "image", folder));
    await copyFile("/usr/bin/busybox", join(directory, "image/bin/busybox"));
    for (const name of [
      "sh",
      "cat",
      "echo",
      "sleep",
      "true",
      "false",
      "stty",
      "head",
      "yes",
      "dd",
      "kill",
      "printf",
      "seq",
      "tty",
      "ls",
    ])
      await symlink("busybox", join(directory, "image/bin", name));
    const spawner = await Spawner.start({ binary: spawnBinary, log: createLog("warn") });
    return new Rig(directory, spawner);
  }

  async prepare(options: ContainerOptions): Promise<TestContainer> {
    const container = new TestContainer(this, options);
    this.#containers.push(container);
    await container.write();
    return container;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#containers.map((container) => container.end()));
    await this.spawner[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true });
    await removeCgroups(this.cgroupParent);
  }
}

/** The parent that the runtime made for our containers, in every hierarchy; fails if a container's cgroup is left in it. */
async function removeCgroups(parent: string): Promise<void> {
  const hierarchies = (await readdir("/sys/fs/cgroup")).map((name) => join("/sys/fs/cgroup", name, parent));
  for (const folder of [...hierarchies, join("/sys/fs/cgroup", parent)]) {
    await rmdir(folder).catch((error: unknown) => {
      if (errnoOf(error) !== "ENOENT" && errnoOf(error) !== "ENOTDIR") throw error;
    });
  }
}

export interface ContainerOptions {
  readonly args: readonly string[];
  readonly terminal?: boolean;
  readonly stdin?: ShimConfig["stdin"];
  readonly log?: Partial<ShimConfig["log"]>;
  readonly memoryBytes?: number;
  readonly runtimePath?: string;
  readonly consoleSize?: readonly [number, number];
  readonly rootfs?: ShimConfig["rootfs"];
  readonly hasHostPid?: boolean;
  /** A folder of the host, for /mnt. */
  readonly bind?: string;
}

/** One container: its bundle, and the task while it has one. */
export class TestContainer {
  readonly id = randomBytes(32).toString("hex");
  readonly bundle: string;
  readonly logPath: string;
  readonly socketPath: string;
  task: Task | undefined;
  readonly #rig: Rig;
  readonly #options: ContainerOptions;

  constructor(rig: Rig, options: ContainerOptions) {
    this.#rig = rig;
    this.#options = options;
    this.bundle = join(rig.directory, this.id.slice(0, 12));
    this.logPath = join(rig.directory, `${this.id.slice(0, 12)}.log`);
    this.socketPath = join(this.bundle, "shim.sock");
  }

  async write(): Promise<void> {
    const layers = join(this.bundle, "layers");
    await mkdir(join(layers, "upper"), { recursive: true });
    await mkdir(join(layers, "work"));
    await writeBundle(this.bundle, { spec: this.#spec(), shim: this.#shim(layers) });
  }

  async create(): Promise<Task> {
    this.task = await Task.create(this, this.#rig.spawner);
    return this.task;
  }

  /** Of a shim that is there already. */
  async adopt(): Promise<Task> {
    this.task = await Task.create(this, { spawn: async () => 0 });
    return this.task;
  }

  async logText(): Promise<string> {
    return await readFile(this.logPath, "utf8");
  }

  /** What the log says was written to one stream. */
  async logged(stream = "stdout"): Promise<string> {
    const lines = (await this.logText()).split("\n").filter((line) => line !== "");
    const entries = lines.map((line): { log: string; stream: string } => JSON.parse(line));
    return entries
      .filter((entry) => entry.stream === stream)
      .map((entry) => entry.log)
      .join("");
  }

  async end(): Promise<void> {
    await this.task?.kill(9).catch(() => undefined);
    await this.task?.closed;
    const notes = await readFile(join(this.bundle, "shim.log"), "utf8").catch(() => "");
    assert.doesNotMatch(notes, /Sanitizer|runtime error/); // of the build that SHIM_BUILD names
  }

  #shim(layers: string): ShimConfig {
    const { terminal = false, stdin = "none", log, consoleSize } = this.#options;
    return {
      id: this.id,
      runtime: { path: this.#options.runtimePath ?? runtime, args: ["--root", join(this.#rig.directory, "runtime")] },
      rootfs: this.#options.rootfs ?? {
        type: "overlay",
        options: `lowerdir=${this.#rig.directory}/image,upperdir=${layers}/upper,workdir=${layers}/work`,
      },
      terminal,
      ...(consoleSize === undefined ? {} : { consoleSize }),
      stdin,
      log: { driver: "json-file", path: this.logPath, ...log },
    };
  }

  #spec(): Spec {
    const { memoryBytes, hasHostPid = false, bind } = this.#options;
    return {
      ociVersion: "1.0.2",
      process: {
        terminal: this.#options.terminal ?? false,
        user: { uid: 0, gid: 0 },
        args: [...this.#options.args],
        env: ["PATH=/bin", "TERM=xterm"],
        cwd: "/",
        oomScoreAdj: 0,
      },
      root: { path: "rootfs" },
      hostname: "test",
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["mode=755"] },
        {
          destination: "/dev/pts",
          type: "devpts",
          source: "devpts",
          options: ["newinstance", "ptmxmode=0666", "mode=0620"],
        },
        ...(bind === undefined ? [] : [{ destination: "/mnt", type: "bind", source: bind, options: ["rbind"] }]),
      ],
      linux: {
        cgroupsPath: join(this.#rig.cgroupParent, this.id),
        ...(memoryBytes === undefined ? {} : { resources: { memory: { limit: memoryBytes, swap: memoryBytes } } }),
        namespaces: [
          { type: "mount" },
          { type: "ipc" },
          { type: "uts" },
          { type: "network" },
          ...(hasHostPid ? [] : [{ type: "pid" as const }]),
        ],
      },
    };
  }
}

export interface Streams {
  readonly stdout: string;
  readonly stderr: string;
}

/** Takes stdcopy frames apart. */
export function splitFrames(bytes: Buffer): Streams {
  const parts: [Buffer[], Buffer[]] = [[], []];
  for (let at = 0; at < bytes.length; ) {
    const size = bytes.readUInt32BE(at + 4);
    parts[bytes[at] === 2 ? 1 : 0].push(bytes.subarray(at + 8, at + 8 + size));
    at += 8 + size;
  }
  return { stdout: Buffer.concat(parts[0]).toString(), stderr: Buffer.concat(parts[1]).toString() };
}

/** Everything an attached client receives, until the process has ended. */
export async function receive(socket: Socket): Promise<Buffer> {
  const bytes = await buffer(socket);
  socket.destroy();
  return bytes;
}

/** One stdio of a shell command in the container, as `docker exec` asks for it. */
export function shell(command: string, terminal = false): Process {
  return { args: ["sh", "-c", command], env: ["PATH=/bin"], cwd: "/", user: { uid: 0, gid: 0 }, terminal };
}

/** A bare connection to a shim. */
export async function openConnection(path: string): Promise<Socket> {
  const socket = connect({ path, allowHalfOpen: true });
  await once(socket, "connect");
  socket.on("error", () => undefined);
  return socket;
}

/** Resolves when the stream has brought `text`. */
export async function waitFor(socket: Socket, text: string): Promise<string> {
  let received = "";
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    received += String(chunk);
    if (received.includes(text)) return received;
  }
  throw new Error(`the stream ended with ${JSON.stringify(received)}`);
}
