import { mkdir, readdir, readFile, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "#base/errors";
import { mountOf } from "#base/mountinfo";
import { MNT_DETACH, MS_BIND, MS_PRIVATE, mount, umount2 } from "#native";

export interface ExecRoot extends AsyncDisposable {
  /** Containers stay when the daemon goes: so does the mount. */
  isNeeded: boolean;
}

/**
 * Makes the exec root ready: its folders, and private, so that what shims mount below it in their own mount namespaces never
 * travels to the host's. On a host where `/` is shared (systemd) that takes a bind mount of the folder on itself, which stays
 * while containers run without the daemon, and goes with the last of them.
 */
export async function holdExecRoot(execRoot: string): Promise<ExecRoot> {
  await mkdir(execRoot, { recursive: true, mode: 0o710 });
  const path = await realpath(execRoot);
  const before = mountOf(await readFile("/proc/self/mountinfo", "utf8"), path);
  if (before.isShared) {
    mount({ source: path, target: path, type: "", flags: MS_BIND, options: "" });
    mount({ source: "", target: path, type: "", flags: MS_PRIVATE, options: "" });
  }
  for (const folder of ["containers", "shims"]) await mkdir(join(path, folder), { recursive: true, mode: 0o700 });
  await removeViews(join(path, "views"));
  // A file system of its own is the operator's.
  const isOurs = before.isShared || (before.mountPoint === path && before.root !== "/");
  const held: ExecRoot = {
    isNeeded: false,
    [Symbol.asyncDispose]: async () => {
      if (isOurs && !held.isNeeded) umount2(path, MNT_DETACH);
    },
  };
  return held;
}

/** What a crash in the middle of a `docker cp` left: mounts that nobody sees but this folder. */
async function removeViews(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const view = join(folder, name);
    try {
      umount2(view, MNT_DETACH);
    } catch (error) {
      if (errnoOf(error) !== "EINVAL") throw error;
    }
    await rm(view, { recursive: true, force: true });
  }
}
