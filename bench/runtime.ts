/**
 * OCI runtimes side by side: minirun, crun, runc, and what the kernel alone takes (`unshare … chroot`).
 *   bench/run runtime [--quick] [--rounds N] [--cgroups v1|v2|host] [--config docker|spec] [--json] [case …]
 *
 * The same bundle for all, every round runs all of them one after the other, and stopwatch.c times each from fork to
 * exit with a pause after it. With $PEER_ENV everything runs in that root (Debian sid's crun and runc; minirun is
 * static), else crun and runc are those of $PATH. Two bundles: `docker` is what our engine writes for `docker run`
 * (all namespaces, masks, Docker's seccomp filter), `spec` is `minirun spec`.
 *
 * crun refuses a hybrid machine (v1 controllers beside a cgroup2 that has none). So, for all of them, in a mount
 * namespace of the benchmark's own: `v1` hides the cgroup2 mount, and every runtime makes a group in each v1 hierarchy;
 * `v2` puts the cgroup2 mount over /sys/fs/cgroup, one group and a BPF program for devices; `host` leaves all as it is.
 */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { busyboxTar } from "#test/busybox";
import { must, run } from "#test/command";
import { packageRoot, startDaemon } from "#test/daemon";
import { round } from "./measure.ts";

const { values: options, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    cgroups: { type: "string" },
    config: { type: "string", default: "docker" },
    json: { type: "boolean", default: false },
  },
});
const rounds = Number(options.rounds ?? (options.quick ? 10 : 60));
const settleUs = 30_000;

const peers = process.env.PEER_ENV === undefined ? [] : [process.env.PEER_ENV, "run"];
/** A path of this machine as the runtimes see it. */
const inside = (path: string): string => (peers.length > 0 ? path.replace(/^\/tmp\//, "/host-tmp/") : path);

const layouts: Readonly<Record<string, string>> = {
  v1: "umount /sys/fs/cgroup/unified",
  v2: "mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup",
  host: "true",
};

interface Runtime {
  readonly name: string;
  /** Program and global flags. */
  readonly command: readonly string[];
}

type Plan = string[];
const line = (label: string, words: readonly string[]): string => [label, ...words].join("\t");

/** A case adds lines to the plan: `before` and `after` once for each runtime, `round` once a round. */
interface Case {
  readonly args: readonly string[];
  readonly before?: (runtime: Runtime) => Plan;
  readonly round: (runtime: Runtime) => Plan;
  readonly after?: (runtime: Runtime) => Plan;
  /** The kernel's share, without a runtime. */
  readonly bare?: (place: Place) => readonly string[];
}

const idOf = (runtime: Runtime): string => `bench-${process.pid}-${runtime.name}`;
const call = (label: string, runtime: Runtime, ...words: string[]): string =>
  line(label, [...runtime.command, ...words]);
const sleeper = {
  args: ["sleep", "1000000"],
  before: (runtime: Runtime) => [call("-", runtime, "run", "--detach", idOf(runtime))],
  after: (runtime: Runtime) => [call("-", runtime, "delete", "--force", idOf(runtime))],
};

const cases: Readonly<Record<string, Case>> = {
  run: {
    args: ["/bin/true"],
    round: (runtime) => [call(`run ${runtime.name}`, runtime, "run", idOf(runtime))],
    bare: ({ rootfs }) => [
      ...["/usr/bin/unshare", "--fork", "--pid", "--mount", "--uts", "--ipc", "--net", `--mount-proc=${rootfs}/proc`],
      ...["/usr/sbin/chroot", rootfs, "/bin/true"],
    ],
  },
  life: {
    args: ["/bin/true"],
    // --force: on a busy machine the process may not have ended yet.
    round: (runtime) =>
      ["create", "start", "delete --force"].map((verb) =>
        call(`${verb.split(" ")[0]} ${runtime.name}`, runtime, ...verb.split(" "), idOf(runtime)),
      ),
  },
  exec: {
    ...sleeper,
    round: (runtime) => [
      call(`exec ${runtime.name}`, runtime, "exec", idOf(runtime), "/bin/true"),
      call(`exec-detached ${runtime.name}`, runtime, "exec", "--detach", idOf(runtime), "/bin/true"),
    ],
  },
  look: {
    ...sleeper,
    round: (runtime) => [
      call(`state ${runtime.name}`, runtime, "state", idOf(runtime)),
      call(`kill ${runtime.name}`, runtime, "kill", idOf(runtime), "WINCH"),
    ],
  },
  // What stays behind is printed before and after: mounts, groups (dying ones too), the kernel's own memory.
  leftovers: { args: ["/bin/true"], round: () => [] },
};

const report = [
  "echo $(wc -l </proc/self/mountinfo) mounts,",
  `$(find /sys/fs/cgroup/ -name "bench-${process.pid}-*" | wc -l) groups of ours,`,
  "$(awk '$1==\"memory\"{print $3}' /proc/cgroups) memory groups on the machine,",
  "$(awk '/^(Percpu|SUnreclaim|AnonPages)/{printf \"%s %d kB \", $1, $2}' /proc/meminfo)",
].join(" ");

/** A folder under /tmp with the bundle and the programs, and the mount namespace that everything is measured in. */
class Place implements Disposable {
  readonly folder = mkdtempSync("/tmp/bench-runtime-");
  readonly rootfs: string;
  readonly #layout: string;

  constructor(layout: string) {
    this.#layout = layout;
    this.rootfs = inside(join(this.folder, "rootfs"));
    mkdirSync(join(this.folder, "rootfs"));
    chmodSync(this.folder, 0o755);
    copyFileSync(join(packageRoot, "runtime-native/build/minirun"), join(this.folder, "minirun"));
  }

  async fill(): Promise<void> {
    const rootfs = join(this.folder, "rootfs");
    await must(["tar", "-xf", await busyboxTar(), "-C", rootfs]);
    for (const name of ["proc", "dev", "sys", "run"]) mkdirSync(join(rootfs, name), { recursive: true });
    const source = join(packageRoot, "bench/stopwatch.c");
    await must(["cc", "-O2", "-static", "-o", join(this.folder, "stopwatch"), source]);
  }

  writeConfig(template: string, args: readonly string[]): void {
    const spec = JSON.parse(template);
    spec.process.args = args;
    writeFileSync(join(this.folder, "config.json"), JSON.stringify(spec));
  }

  shell(script: string, stdin = ""): Promise<string> {
    const words = ["unshare", "--mount", "sh", "-ec", `${layouts[this.#layout]}; cd ${inside(this.folder)}; ${script}`];
    return must([...peers, ...words], { stdin, timeoutMs: 3_600_000 });
  }

  /** Those of `names` that can run the bundle; the others are left out, with their reason. */
  async find(names: readonly string[]): Promise<Runtime[]> {
    const found: Runtime[] = [];
    for (const name of names) {
      const path = await this.shell(`PATH=$PWD:$PATH; command -v ${name} || true`);
      if (path === "") continue;
      const runtime = { name, command: [path, "--root", `/run/bench-${process.pid}-${name}`] };
      const trial = [...runtime.command, "run", idOf(runtime)].join(" ");
      const reason = await this.shell(`if out=$(${trial} 2>&1); then :; else echo "$out"; fi`);
      if (reason === "") found.push(runtime);
      else console.error(`${name} is left out: ${reason}`);
    }
    return found;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}

/** The spec that the engine writes for `docker run busybox`, moved to our bundle. */
async function dockerConfig(): Promise<string> {
  await using daemon = await startDaemon();
  const create = await daemon.http.send("POST", "/containers/create", {
    body: { Image: "busybox", Cmd: ["sleep", "60"] },
  });
  const { Id: id } = create.json() as { Id: string };
  await daemon.http.send("POST", `/containers/${id}/start`);
  const spec = JSON.parse(readFileSync(join(daemon.execRoot, "containers", id, "config.json"), "utf8"));
  await daemon.http.send("DELETE", `/containers/${id}?force=1`);
  spec.root.path = "rootfs";
  spec.mounts = spec.mounts.filter((mount: { source: string }) => !mount.source.startsWith("/"));
  for (const namespace of spec.linux.namespaces) delete namespace.path;
  delete spec.hooks;
  delete spec.linux.cgroupsPath;
  // A cgroup2 without controllers has nothing to apply these to, and crun insists.
  spec.linux.resources = { devices: spec.linux.resources.devices };
  return JSON.stringify(spec);
}

async function specConfig(place: Place): Promise<string> {
  await must([join(place.folder, "minirun"), "spec", "--bundle", place.folder]);
  const spec = JSON.parse(readFileSync(join(place.folder, "config.json"), "utf8"));
  spec.process.terminal = false;
  return JSON.stringify(spec);
}

interface Row {
  readonly label: string;
  readonly minMs: number;
  readonly medianMs: number;
  readonly p90Ms: number;
  readonly peakKb: number;
}

function planOf(work: Case, runtimes: readonly Runtime[], place: Place): string {
  const plan: Plan = runtimes.flatMap((runtime) => work.before?.(runtime) ?? []);
  for (let n = 0; n < rounds; n++) {
    plan.push(...runtimes.flatMap(work.round));
    if (work.bare !== undefined) plan.push(line("run bare", work.bare(place)));
  }
  return [...plan, ...runtimes.flatMap((runtime) => work.after?.(runtime) ?? []), ""].join("\n");
}

/** stopwatch's lines by label, in the order of their first appearance. */
function rowsOf(output: string): Row[] {
  const samples = new Map<string, { ms: number; kb: number }[]>();
  for (const [label = "", us, status, kb] of output.split("\n").map((text) => text.split("\t"))) {
    if (us === undefined) continue;
    if (status !== "0") throw new Error(`${label}: status ${status}`);
    const list = samples.get(label) ?? [];
    samples.set(label, [...list, { ms: Number(us) / 1000, kb: Number(kb) }]);
  }
  return [...samples].map(([label, list]) => {
    const sorted = list.map(({ ms }) => ms).sort((a, b) => a - b);
    const at = (part: number) => round(sorted[Math.floor((sorted.length - 1) * part)] ?? 0);
    const peakKb = Math.max(...list.map(({ kb }) => kb));
    return { label, minMs: at(0), medianMs: at(0.5), p90Ms: at(0.9), peakKb };
  });
}

function table(rows: readonly Row[]): string {
  const medianOf = (label: string): number | undefined => rows.find((row) => row.label === label)?.medianMs;
  const head = `${"min ms".padStart(30)}${"median".padStart(9)}${"p90".padStart(9)}${"peak KB".padStart(10)}  of crun  of runc`;
  const lines = rows.map(({ label, minMs, medianMs, p90Ms, peakKb }) => {
    const verb = label.split(" ")[0] ?? "";
    const shares = ["crun", "runc"].map((peer) => medianMs / (medianOf(`${verb} ${peer}`) ?? Number.NaN));
    const numbers = `${minMs.toFixed(2).padStart(8)}${medianMs.toFixed(2).padStart(9)}${p90Ms.toFixed(2).padStart(9)}`;
    return `${label.padEnd(22)}${numbers}${String(peakKb).padStart(10)}${shares.map((share) => (Number.isNaN(share) ? "-" : share.toFixed(2)).padStart(9)).join("")}`;
  });
  return [head, ...lines].join("\n");
}

const isHybrid = (await run([...peers, "test", "-e", "/sys/fs/cgroup/unified/cgroup.procs"])).status === 0;
using place = new Place(options.cgroups ?? (isHybrid ? "v1" : "host"));
await place.fill();
const template = options.config === "spec" ? await specConfig(place) : await dockerConfig();
place.writeConfig(template, ["/bin/true"]);
const runtimes = await place.find(["minirun", "crun", "runc"]);
const rows: Row[] = [];
for (const [name, work] of Object.entries(cases)) {
  if (wanted.length > 0 ? !wanted.includes(name) : name === "leftovers") continue;
  place.writeConfig(template, work.args);
  if (name !== "leftovers") {
    rows.push(...rowsOf(await place.shell(`exec ./stopwatch ${settleUs}`, planOf(work, runtimes, place))));
    continue;
  }
  const life = runtimes.slice(0, 1).flatMap(cases.life?.round ?? (() => []));
  const plan = [...Array.from({ length: rounds }, () => life).flat(), ""].join("\n");
  console.log(await place.shell(`${report}; ./stopwatch 3000 | awk '$4 != 0' | head; sleep 1; ${report}`, plan));
}
await place.shell(`rmdir /run/bench-${process.pid}-* 2>/dev/null || true`);
const sizes = await place.shell(`stat -L -c '%n %s' ${runtimes.map(({ command }) => command[0]).join(" ")}`);
if (options.json) console.log(JSON.stringify({ sizes, rows }, undefined, 2));
else if (rows.length > 0) console.log(`${sizes}\n${table(rows)}`);
