/** The root of a container that is being created: its working directory is made, and its volumes' mount points are looked at. */
import { closeSync } from "node:fs";
import { join } from "node:path";
import type { ContainerConfig } from "#api-schema/container-config";
import { EngineError, errnoOf } from "#base/errors";
import type { Id } from "#base/ids";
import {
  fstat,
  isDirectory,
  mkdirat,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  openat2,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
} from "#native";
import type { Storage } from "#storage";

export interface NewRoot extends AsyncDisposable {
  /** Throws when something that is no directory lies there; nothing at all is fine. */
  requireDirectory(path: string): void;
}

/** Links in the image lead nowhere but into the image. */
const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

/** Mounts the snapshot only if there is something to do in it. */
export async function openNewRoot(
  snapshots: Pick<Storage["snapshots"], "mount">,
  id: Id,
  config: Pick<ContainerConfig, "WorkingDir" | "Volumes">,
): Promise<NewRoot> {
  const hasVolumes = Object.keys(config.Volumes ?? {}).length > 0;
  const hasWorkingDir = !["", "/"].includes(config.WorkingDir);
  if (!hasVolumes && !hasWorkingDir)
    return { requireDirectory: () => undefined, [Symbol.asyncDispose]: async () => {} };
  await using undo = new AsyncDisposableStack();
  const root = undo.use(await snapshots.mount(id));
  if (hasWorkingDir) makeWorkingDir(root.rootFd, config.WorkingDir);
  const mounted = undo.move();
  return {
    requireDirectory: (path) => requireDirectory(root.rootFd, path),
    [Symbol.asyncDispose]: () => mounted.disposeAsync(),
  };
}

function requireDirectory(rootFd: number, path: string): void {
  if (statIn(rootFd, path) !== "other") return;
  throw new EngineError("system", `cannot mount volume over existing file, file exists ${path}`);
}

/** Step by step, so that no name is resolved outside of what was just opened. */
function makeWorkingDir(rootFd: number, path: string): void {
  let made = "";
  for (const name of path.split("/").filter((part) => part !== "")) {
    const parent = made;
    made = join(made, name);
    const found = statIn(rootFd, made);
    if (found === "other") throw notADirectory(path);
    if (found === "directory") continue;
    const fd = openat2(rootFd, parent || ".", { flags: O_PATH | O_DIRECTORY | O_CLOEXEC, resolve });
    try {
      mkdirat(fd, name, 0o755);
    } catch (error) {
      // A link that leads to nothing.
      throw errnoOf(error) === "EEXIST" ? notADirectory(path) : error;
    } finally {
      closeSync(fd);
    }
  }
}

const notADirectory = (path: string): EngineError =>
  new EngineError("system", `Cannot mkdir: ${path} is not a directory`);

function statIn(rootFd: number, path: string): "directory" | "other" | undefined {
  let fd: number;
  try {
    fd = openat2(rootFd, path, { flags: O_PATH | O_CLOEXEC, resolve });
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    if (errnoOf(error) === "ENOTDIR" || errnoOf(error) === "ELOOP") return "other";
    throw error;
  }
  try {
    return isDirectory(fstat(fd)) ? "directory" : "other";
  } finally {
    closeSync(fd);
  }
}
