import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "#base/errors";

/** Where a process's cgroups are on this host. Controllers that are not mounted are absent. */
export interface CgroupPaths {
  /** Controller of v1 (`memory`, `cpu`, …) → folder; empty on a pure v2 host. */
  readonly v1: Readonly<Record<string, string>>;
  /** The folder in the unified hierarchy; on a hybrid host it has few files or none that matter. */
  readonly v2?: string;
}

/** undefined if the process has ended. */
export function findCgroupPaths(pid: number): CgroupPaths | undefined {
  const membership = readText(`/proc/${pid}/cgroup`);
  return membership === undefined
    ? undefined
    : parseCgroupPaths(membership, readFileSync("/proc/self/mountinfo", "utf8"));
}

interface Hierarchy {
  readonly mountPoint: string;
  readonly root: string;
  /** Controllers and flags as the superblock has them; `undefined` for v2. */
  readonly controllers?: readonly string[];
}

// mountinfo: "35 31 0:32 /root /mount/point options [tags] - type source superblock-options": proc_pid_mountinfo(5)
function parseHierarchies(mountinfo: string): Hierarchy[] {
  return mountinfo.split("\n").flatMap((line): Hierarchy[] => {
    const [mount = "", filesystem = ""] = line.split(" - ");
    const [, , , root = "/", mountPoint = ""] = mount.split(" ");
    const [type, , flags = ""] = filesystem.split(" ");
    if (type === "cgroup2") return [{ mountPoint, root }];
    return type === "cgroup" ? [{ mountPoint, root, controllers: flags.split(",") }] : [];
  });
}

/** From the texts of /proc/<pid>/cgroup and /proc/self/mountinfo. */
export function parseCgroupPaths(membership: string, mountinfo: string): CgroupPaths {
  const hierarchies = parseHierarchies(mountinfo);
  const v1: Record<string, string> = {};
  let v2: string | undefined;
  for (const line of membership.split("\n")) {
    const [, names = "", ...rest] = line.split(":");
    const path = rest.join(":");
    if (path === "") continue;
    const controllers = names.split(",");
    const hierarchy = hierarchies.find(({ controllers: mounted }) =>
      names === "" ? mounted === undefined : controllers.every((name) => mounted?.includes(name)),
    );
    if (hierarchy === undefined) continue;
    // A hierarchy of which only a part is mounted (Docker in Docker) shows its paths from that part on.
    const below = hierarchy.root !== "/" && path.startsWith(hierarchy.root) ? path.slice(hierarchy.root.length) : path;
    const folder = join(hierarchy.mountPoint, below);
    if (names === "") v2 = folder;
    else for (const name of controllers) v1[name] = folder;
  }
  return v2 === undefined ? { v1 } : { v1, v2 };
}

/** Every process of the cgroup, as the host numbers them. Cgroups that the container made below it are not looked into. */
export function listPids(paths: CgroupPaths): number[] {
  const folder = paths.v1.pids ?? paths.v1.memory ?? paths.v1.freezer ?? Object.values(paths.v1)[0] ?? paths.v2;
  if (folder === undefined) return [];
  const text = readText(join(folder, "cgroup.procs")) ?? "";
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map(Number);
}

/**
 * A file of cgroupfs or procfs; undefined if it is not there, or went away while it was read. No disk is asked: a read takes
 * microseconds, and most of one by a thread of Node's pool would be the way there and back, five times.
 */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = errnoOf(error);
    if (code !== undefined && goneCodes.has(code)) return undefined;
    throw error;
  }
}

/** EINVAL: what /proc/<pid>/net says of a process that ended after it was opened. */
const goneCodes: ReadonlySet<string> = new Set(["ENOENT", "ENODEV", "ESRCH", "EOPNOTSUPP", "EINVAL"]);
