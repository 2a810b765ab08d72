import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Spec } from "#runtime";

const built = new URL("../../runtime-native/build", import.meta.url).pathname;
/** The runtime under test: ours, or what RUNTIME names (runc, crun): the same cases must hold for all. */
export const runtime = process.env.RUNTIME ?? join(built, "minirun");
export const isOurs = basename(runtime) === "minirun";
export const isGo = basename(runtime) === "runc";

/** Nothing but cgroup v2; else v1, with or without a v2 hierarchy beside. */
export const isUnified = existsSync("/sys/fs/cgroup/cgroup.controllers");
const hierarchies = async (): Promise<string[]> => (isUnified ? [""] : await readdir("/sys/fs/cgroup"));

/** Needs no libraries: runs in any root. */
export const isStatic = !isOurs || !readFileSync(runtime).includes("ld-linux");

/** A program of runtime-native/tests/helpers. */
export const helper = (name: string): string => join(built, "helpers", name);

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const applets =
  "sh cat echo sleep true false id ls env hostname stat grep wc mount umount touch mkdir pwd kill ps readlink mknod printf dd ulimit tty stty test chmod ln seq tail head sed awk uname ip hexdump";

type Change = (spec: Spec) => void;

/** A place with a busybox root, its own state folder and its own cgroups; nothing of it is left at the end. */
export class Place implements AsyncDisposable {
  readonly directory: string;
  readonly cgroup: string;
  readonly #containers: string[] = [];

  private constructor(directory: string) {
    this.directory = directory;
    this.cgroup = `/launcher-${basename(directory)}`;
  }

  static async make(): Promise<Place> {
    await mkdir("/var/tmp/launcher-test", { recursive: true, mode: 0o755 });
    const directory = await mkdtemp("/var/tmp/launcher-test/place-");
    await chmod(directory, 0o755);
    return new Place(directory);
  }

  get root(): string {
    return join(this.directory, "state");
  }

  /** A new bundle; `change` edits the spec that Docker's own containers resemble. */
  async bundle(change: Change = () => undefined): Promise<Bundle> {
    const id = `c${randomBytes(6).toString("hex")}`;
    const bundle = new Bundle(this, id, join(this.directory, id));
    this.#containers.push(id);
    await bundle.fill();
    const spec = defaultSpec(`${this.cgroup}/${id}`);
    change(spec);
    await writeFile(join(bundle.directory, "config.json"), JSON.stringify(spec));
    return bundle;
  }

  runtime(args: readonly string[], options: { readonly input?: string; readonly cwd?: string } = {}): Promise<Result> {
    return command(runtime, ["--root", this.root, ...args], options);
  }

  async cgroupFolders(id: string): Promise<string[]> {
    const found: string[] = [];
    for (const hierarchy of await hierarchies()) {
      const folder = join("/sys/fs/cgroup", hierarchy, this.cgroup);
      const names = await readdir(folder).catch((): string[] => []);
      if (names.includes(id)) found.push(join(folder, id));
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of this.#containers) await this.runtime(["delete", "--force", id]);
    for (const hierarchy of await hierarchies()) {
      const folder = join("/sys/fs/cgroup", hierarchy, this.cgroup);
      await command("rmdir", [folder]);
    }
    await rm(this.directory, { recursive: true, force: true });
  }
}

export class Bundle {
  readonly place: Place;
  readonly id: string;
  readonly directory: string;

  constructor(place: Place, id: string, directory: string) {
    this.place = place;
    this.id = id;
    this.directory = directory;
  }

  get rootfs(): string {
    return join(this.directory, "rootfs");
  }

  async fill(): Promise<void> {
    for (const folder of ["bin", "proc", "dev", "sys", "tmp", "etc"])
      await mkdir(join(this.rootfs, folder), { recursive: true });
    await chmod(join(this.rootfs, "tmp"), 0o1777);
    await copyFile("/bin/busybox", join(this.rootfs, "bin/busybox"));
    for (const name of applets.split(" ")) await symlink("busybox", join(this.rootfs, "bin", name));
    await writeFile(
      join(this.rootfs, "etc/passwd"),
      "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
    );
  }

  run(...flags: string[]): Promise<Result> {
    return this.place.runtime(["run", "--bundle", this.directory, ...flags, this.id]);
  }

  detached(action: "create" | "run", ...flags: string[]): Promise<Result> {
    const how = action === "run" ? ["run", "--detach"] : ["create"];
    return this.#apart([...how, "--bundle", this.directory, ...flags, this.id]);
  }

  execDetached(...flags: string[]): Promise<Result> {
    return this.#apart(["exec", "--detach", ...flags, this.id]);
  }

  /** What goes on running keeps its streams, so they must not be pipes whose end we wait for. */
  #apart(words: readonly string[]): Promise<Result> {
    const log = ["--log", `${this.directory}/log`, "--log-format", "json"];
    const line = [runtime, "--root", this.place.root, ...log, ...words].map((word) => `'${word}'`).join(" ");
    return command("sh", ["-c", `${line} </dev/null >${this.directory}/out 2>&1`]);
  }

  call(...args: string[]): Promise<Result> {
    return this.place.runtime(args);
  }

  exec(args: readonly string[], flags: readonly string[] = []): Promise<Result> {
    return this.place.runtime(["exec", ...flags, this.id, ...args]);
  }

  async state(): Promise<{ readonly status: string; readonly pid: number }> {
    const { stdout } = await this.call("state", this.id);
    const state: unknown = JSON.parse(stdout);
    if (typeof state !== "object" || state === null || !("status" in state) || !("pid" in state))
      throw new Error(stdout);
    return { status: String(state.status), pid: Number(state.pid) };
  }
}

export function command(
  file: string,
  args: readonly string[],
  options: { readonly input?: string; readonly cwd?: string; readonly environment?: NodeJS.ProcessEnv } = {},
): Promise<Result> {
  const settings = { cwd: options.cwd, env: options.environment ?? process.env, timeout: 60_000 };
  return new Promise((resolve) => {
    const child = execFile(file, args, settings, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 255;
      resolve({ code, stdout, stderr });
    });
    // A program that ends without reading its input is none of our business.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input);
  });
}

/** Runs in a terminal of its own, by script(1): what came out. */
export function inTerminal(file: string, args: readonly string[]): Promise<Result> {
  const line = [file, ...args].map((word) => `'${word}'`).join(" ");
  return new Promise((resolve) => {
    const child = spawn("script", ["-qec", line, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
    let stdout = "";
    child.stdout.on("data", (bytes: Buffer) => {
      stdout += bytes.toString();
    });
    child.on("close", (code) => resolve({ code: code ?? 255, stdout, stderr: "" }));
  });
}

export function args(...words: string[]): Change {
  return (spec) => {
    if (spec.process) spec.process.args = words;
  };
}

export const shell = (script: string): Change => args("sh", "-c", script);

export function both(...changes: Change[]): Change {
  return (spec) => {
    for (const change of changes) change(spec);
  };
}

function defaultSpec(cgroupsPath: string): Spec {
  const capabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_MKNOD"];
  return {
    ociVersion: "1.2.1",
    process: {
      user: { uid: 0, gid: 0 },
      args: ["true"],
      env: ["PATH=/bin", "TERM=xterm"],
      cwd: "/",
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: false,
    },
    root: { path: "rootfs", readonly: false },
    hostname: "box",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
      {
        destination: "/dev",
        type: "tmpfs",
        source: "tmpfs",
        options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
      },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
      },
      { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "noexec", "nodev", "mode=1777"] },
      { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
      { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro", "nosuid", "noexec", "nodev"] },
    ],
    linux: {
      cgroupsPath,
      resources: { devices: [{ allow: false, access: "rwm" }] },
      namespaces: [{ type: "pid" }, { type: "network" }, { type: "ipc" }, { type: "uts" }, { type: "mount" }],
      maskedPaths: ["/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/nosuch"],
      readonlyPaths: ["/proc/bus", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}
