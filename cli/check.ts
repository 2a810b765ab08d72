/** `minidock check`: what this machine has of what the engine needs, in words and with the way out. */
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { messageOf } from "#base/errors";
import { nativeBinary } from "#daemon/paths";

export interface Finding {
  readonly isMet: boolean;
  readonly detail: string;
}

export interface Requirement {
  readonly name: string;
  /** Without it nothing works; the others cost a feature. */
  readonly isEssential: boolean;
  readonly find: () => Finding | Promise<Finding>;
  readonly remedy: string;
}

const met = (detail: string): Finding => ({ isMet: true, detail });
const unmet = (detail: string): Finding => ({ isMet: false, detail });
const claim = (isMet: boolean, yes: string, no: string): Finding => (isMet ? met(yes) : unmet(no));

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

const status = (key: string): string => new RegExp(`^${key}:\\s*(.*)$`, "m").exec(read("/proc/self/status"))?.[1] ?? "";

/** Numbers of capabilities(7) that a full engine uses; the names are what a user looks for. */
const capabilities: Readonly<Record<string, number>> = {
  CHOWN: 0,
  DAC_OVERRIDE: 1,
  SETGID: 6,
  SETUID: 7,
  SETPCAP: 8,
  NET_ADMIN: 12,
  SYS_CHROOT: 18,
  SYS_ADMIN: 21,
  MKNOD: 27,
};

function findCapabilities(): Finding {
  const held = BigInt(`0x${status("CapEff") || "0"}`);
  const missing = Object.entries(capabilities).filter(([, bit]) => ((held >> BigInt(bit)) & 1n) === 0n);
  return claim(missing.length === 0, "all there", `missing: ${missing.map(([name]) => name).join(" ")}`);
}

function findKernel(wanted: readonly [number, number]): Finding {
  const [major = 0, minor = 0] = release()
    .split(".")
    .map((part) => Number.parseInt(part, 10));
  const isNewEnough = major > wanted[0] || (major === wanted[0] && minor >= wanted[1]);
  return claim(isNewEnough, release(), `${release()} is older than ${wanted.join(".")}`);
}

function cgroupMounts(): { v1: number; v2: string | undefined } {
  const mounts = read("/proc/self/mountinfo").split("\n");
  const v2 = mounts.find((line) => line.includes(" - cgroup2 "))?.split(" ")[4];
  return { v1: mounts.filter((line) => line.includes(" - cgroup ")).length, v2 };
}

function findCgroups(): Finding {
  const { v1, v2 } = cgroupMounts();
  if (v1 > 0) return met(`version 1, ${v1} hierarchies${v2 === undefined ? "" : ", version 2 beside them"}`);
  if (v2 === undefined) return unmet("none is mounted");
  return met(`version 2: ${read(join(v2, "cgroup.controllers")).trim() || "no controllers"}`);
}

const controllersV1 = ["memory", "cpu", "cpuset", "blkio", "pids", "devices", "freezer"];
const controllersV2 = ["memory", "cpu", "cpuset", "io", "pids"];

function findControllers(): Finding {
  const { v1, v2 } = cgroupMounts();
  const isV2 = v1 === 0 && v2 !== undefined;
  const enabled = isV2
    ? read(join(v2, "cgroup.controllers")).trim().split(" ")
    : Array.from(read("/proc/cgroups").matchAll(/^(\w+)\t.*\t1$/gm), ([, name]) => name);
  const wanted = isV2 ? controllersV2 : controllersV1;
  const missing = wanted.filter((name) => !enabled.includes(name));
  return claim(missing.length === 0, wanted.join(" "), `missing: ${missing.join(" ")}`);
}

/** Really mounts one: a file system that cannot be an upper layer says so only then. */
async function findOverlay(dataRoot: string): Promise<Finding> {
  if (!existsSync(dataRoot)) return unmet(`${dataRoot} does not exist yet: run the engine once, or give --data-root`);
  const { fsconfigCreate, fsconfigString, fsmount, fsopen } = await import("#native");
  const { closeSync } = await import("node:fs");
  const folder = mkdtempSync(join(dataRoot, ".check-"));
  try {
    for (const name of ["lower", "upper", "work"]) mkdirSync(join(folder, name));
    const context = fsopen("overlay");
    try {
      fsconfigString(context, "lowerdir", join(folder, "lower"));
      fsconfigString(context, "upperdir", join(folder, "upper"));
      fsconfigString(context, "workdir", join(folder, "work"));
      fsconfigCreate(context);
      closeSync(fsmount(context));
    } finally {
      closeSync(context);
    }
    return met(`works on ${dataRoot}`);
  } catch (error) {
    return unmet(messageOf(error));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function findNative(): Finding {
  const names = ["minirun", "minishim", "minispawn", "minirelay"] as const;
  const missing = names.filter((name) => !existsSync(nativeBinary(name)));
  return claim(missing.length === 0, names.join(" "), `not built: ${missing.join(" ")}`);
}

async function findSystemCalls(): Promise<Finding> {
  try {
    await import("#native");
    return met("koffi");
  } catch (error) {
    return unmet(messageOf(error));
  }
}

async function findSqlite(): Promise<Finding> {
  try {
    const { default: Database } = await import("better-sqlite3");
    using database = { db: new Database(":memory:"), [Symbol.dispose]: () => database.db.close() };
    return met(String(database.db.prepare("select sqlite_version()").pluck().get()));
  } catch (error) {
    return unmet(messageOf(error));
  }
}

/** Loaded, built in, or there to be loaded: the kernel does that by itself when the first bridge is made. */
function findModules(names: readonly string[]): Finding {
  const folder = `/lib/modules/${release()}`;
  const known = read("/proc/modules") + read(`${folder}/modules.builtin`) + read(`${folder}/modules.dep`);
  const isThere = (name: string) =>
    existsSync(`/sys/module/${name}`) || new RegExp(`(^|/)${name.replaceAll("_", "[_-]")}(\\.ko| )`, "m").test(known);
  const missing = names.filter((name) => !isThere(name));
  if (known === "" && missing.length > 0) return met("no list of modules: assumed to be built in");
  return claim(missing.length === 0, names.join(" "), `missing: ${missing.join(" ")}`);
}

function findProgram(name: string): Finding {
  const found = (process.env.PATH ?? "")
    .split(":")
    .map((folder) => join(folder, name))
    .find(existsSync);
  return found === undefined ? unmet("not installed") : met(found);
}

const appArmorParser = "/sbin/apparmor_parser";

function findAppArmor(): Finding {
  if (read("/sys/module/apparmor/parameters/enabled").trim() !== "Y") return met("not in force here");
  return claim(existsSync(appArmorParser), "in force", `in force, and there is no ${appArmorParser}`);
}

function findForwarding(): Finding {
  const path = "/proc/sys/net/ipv4/ip_forward";
  if (read(path).trim() === "1") return met("on");
  try {
    accessSync(path, constants.W_OK);
    return met("off: the engine switches it on");
  } catch {
    return unmet("off, and sysctls are read-only here");
  }
}

const gib = 1024 ** 3;

function findSpace(dataRoot: string): Finding {
  let folder = dataRoot;
  while (!existsSync(folder)) folder = join(folder, "..");
  const { bavail, bsize } = statfsSync(folder);
  const free = (bavail * bsize) / gib;
  return claim(free >= 2, `${free.toFixed(1)} GiB free`, `only ${free.toFixed(1)} GiB free on ${folder}`);
}

export const requirements = (dataRoot: string): readonly Requirement[] => [
  need("kernel", () => findKernel([5, 10]), "Linux 5.10 or newer, such as Debian 12's"),
  need("root", () => claim(process.geteuid?.() === 0, "yes", "no"), "run it as root"),
  need("capabilities", findCapabilities, "give the service all capabilities"),
  need("native programs", findNative, "npm run build:native (gcc and make)"),
  need("system calls", findSystemCalls, "npm rebuild koffi"),
  need("sqlite", findSqlite, "npm rebuild better-sqlite3"),
  need("overlay", () => findOverlay(dataRoot), "ext4, xfs with ftype=1, or btrfs as the data root"),
  need("namespaces", () => claim(existsSync("/proc/self/ns/pid"), "yes", "no"), "a kernel with CONFIG_NAMESPACES"),
  need("cgroups", findCgroups, "mount cgroup2 on /sys/fs/cgroup"),
  need("apparmor", findAppArmor, "no container starts: apt install apparmor"),
  want("limits", findControllers, "limits that need them are left out, with a warning"),
  want(
    "seccomp",
    () => claim(status("Seccomp") !== "", "filters", "not in this kernel"),
    "containers run without a filter",
  ),
  want(
    "selinux",
    () => claim(read("/sys/fs/selinux/enforce") !== "1", "not in force here", "in force"),
    "containers get no labels of their own",
  ),
  want("id-mapped mounts", () => findKernel([5, 19]), "no --userns-remap, no binds with idmap"),
  want("checkpoints", () => findProgram("criu"), "docker checkpoint does not work: install criu"),
  want("forwarding", findForwarding, "containers reach this machine only"),
  want("bridge network", () => findModules(["bridge", "veth"]), "only --network none and host work"),
  want(
    "nftables",
    () => findModules(["nf_tables", "nft_masq", "nft_nat"]),
    "no published ports and no way out of the bridge",
  ),
  want("macvlan", () => findModules(["macvlan", "ipvlan"]), "no macvlan and ipvlan networks"),
  want(
    "user namespaces",
    () => claim(Number(read("/proc/sys/user/max_user_namespaces")) > 0, "allowed", "switched off"),
    "sysctl user.max_user_namespaces=10000",
  ),
  want("disk", () => findSpace(dataRoot), "give it more, or another --data-root"),
];

type Find = Requirement["find"];
const need = (name: string, find: Find, remedy: string): Requirement => ({ name, isEssential: true, find, remedy });
const want = (name: string, find: Find, remedy: string): Requirement => ({ name, isEssential: false, find, remedy });

/** Prints the table; whether the engine can run here at all. */
export async function checkHost(dataRoot: string, print: (line: string) => void): Promise<boolean> {
  const list = requirements(dataRoot);
  const width = Math.max(...list.map(({ name }) => name.length));
  let canRun = true;
  for (const { name, isEssential, find, remedy } of list) {
    const { isMet, detail } = await find();
    const verdict = isMet ? "ok     " : isEssential ? "MISSING" : "limited";
    print(`${name.padEnd(width)}  ${verdict}  ${detail}${isMet ? "" : ` → ${remedy}`}`);
    canRun &&= isMet || !isEssential;
  }
  return canRun;
}
