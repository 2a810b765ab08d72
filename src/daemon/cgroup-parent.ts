import { readFile, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "#base/errors";

/** Where dockerd puts containers when nobody says otherwise. */
const defaultParent = "/docker";

/**
 * The runtimes make the parent cgroup with the first container and leave it. A stopped engine leaves none: it goes from every
 * hierarchy where nothing is in it.
 */
export async function removeCgroupParent(configured: string): Promise<void> {
  const parent = configured === "" ? defaultParent : configured;
  for (const hierarchy of cgroupMounts(await readFile("/proc/self/mountinfo", "utf8"))) {
    try {
      await rmdir(join(hierarchy, parent));
    } catch (error) {
      if (!["ENOENT", "EBUSY", "ENOTEMPTY"].includes(errnoOf(error) ?? "")) throw error;
    }
  }
}

/** Mount points of cgroup v1 hierarchies and of cgroup2: proc(5), mountinfo. */
export function cgroupMounts(mountinfo: string): string[] {
  return mountinfo.split("\n").flatMap((line) => {
    const [place = "", kind = ""] = line.split(" - ");
    const mountPoint = place.split(" ")[4];
    return mountPoint !== undefined && /^cgroup2? /.test(kind) ? [mountPoint] : [];
  });
}
