import { posix } from "node:path";
import { addAbortSignal, type Readable } from "node:stream";
import { EngineError, errnoOf, messageOf } from "#base/errors";
import { type FileStat, isDirectory, isType, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFSOCK } from "#native";
import type { MountRecord } from "#storage";
import { resolveUser } from "../../spec/accounts.ts";
import type { Container } from "../container.ts";
import { emitContainerEvent } from "../container-events.ts";
import type { ContainerContext } from "../context.ts";
import type { PathStat, PutArchiveOptions } from "../options.ts";
import { openRoot, type RootView } from "./root-view.ts";
import { readUserFiles } from "./user-files.ts";

/** HEAD /containers/{id}/archive. `reference` is what the client called the container: its error repeats it. */
export async function statPath(
  context: ContainerContext,
  container: Container,
  path: string,
  reference: string = container.name,
): Promise<PathStat> {
  return await explaining(path, reference, async () => {
    await using root = await openRoot(context, container, { isReadOnly: true });
    return await describe(context, root, path);
  });
}

/** GET /containers/{id}/archive: a tar whose names begin with the last part of `path`. */
export async function getArchive(
  context: ContainerContext,
  container: Container,
  path: string,
  signal: AbortSignal,
  reference: string = container.name,
): Promise<{ stat: PathStat; stream: Readable }> {
  return await explaining(path, reference, async () => {
    await using undo = new AsyncDisposableStack();
    const root = undo.use(await openRoot(context, container, { isReadOnly: true }));
    const wanted = keepEnding(posix.join("/", path), path);
    const stat = await describe(context, root, wanted);
    const stream = addAbortSignal(
      signal,
      context.storage.archive.pack(root.rootFd, wanted, { name: lastPart(wanted), ...packingOf(root) }),
    );
    const open = undo.move();
    stream.once("close", () => void open.disposeAsync());
    emitContainerEvent(context, container, "archive-path");
    return { stat, stream };
  });
}

/** PUT /containers/{id}/archive: unpacks a tar, compressed or not, into the directory `path`. */
export async function putArchive(
  context: ContainerContext,
  container: Container,
  path: string,
  tar: Readable,
  options: PutArchiveOptions,
  reference: string = container.name,
): Promise<void> {
  const unpack = async () => {
    await using root = await openRoot(context, container, { isReadOnly: false });
    const directory = await extractionPoint(context, root, path);
    refuseReadOnly(container, directory);
    const owner = options.copyUidGid ? await ownerOf(context, container) : undefined;
    try {
      await context.storage.archive.unpack(root.rootFd, directory, tar, {
        noOverwriteDirNonDir: options.noOverwriteDirNonDir,
        ...(owner === undefined ? {} : { owner }),
        ...packingOf(root),
      });
    } catch (error) {
      throw overwriteRefused(error, directory) ?? error;
    }
    emitContainerEvent(context, container, "extract-to-dir");
  };
  // A container that is started while its snapshot is mounted here would have two writers.
  const isStopped = !container.isRunning;
  await explaining(path, reference, () => (isStopped ? context.locks.run(container.id, unpack) : unpack()));
}

const packingOf = ({ key, idMappings }: RootView) => ({ key, ...(idMappings && { idMappings }) });

/** The directory itself, every link followed: an archive may be unpacked into a symlink that leads to one. */
async function extractionPoint(context: ContainerContext, root: RootView, path: string): Promise<string> {
  const { path: end } = await context.storage.foreign.follow(root, posix.join("/", path), { allowsMissing: false });
  const found = keepEnding(end, path);
  const stat = await lstat(context, root, found);
  if (!isDirectory(stat)) throw new EngineError("invalidParameter", "extraction point is not a directory");
  return posix.resolve("/", found);
}

/** The kernel would refuse as well; dockerd does it first, in its own words. */
function refuseReadOnly(container: Container, directory: string): void {
  const mount = innermostMount(container.record.mounts, directory);
  if (mount !== undefined) {
    if (!mount.rw) throw new EngineError("invalidParameter", "mounted volume is marked read-only");
  } else if (container.record.hostConfig.ReadonlyRootfs) {
    throw new EngineError("invalidParameter", "container rootfs is marked read-only");
  }
}

function innermostMount(mounts: readonly MountRecord[], path: string): MountRecord | undefined {
  return mounts
    .filter(({ destination }) => path === destination || path.startsWith(`${destination.replace(/\/$/, "")}/`))
    .sort((a, b) => b.destination.length - a.destination.length)[0];
}

async function ownerOf(
  context: ContainerContext,
  container: Container,
): Promise<{ uid: number; gid: number } | undefined> {
  const { User: user } = container.record.config;
  if (user === "") return undefined;
  const files = await readUserFiles(context, container);
  try {
    return resolveUser(user, [], files);
  } catch (error) {
    throw new EngineError("invalidParameter", messageOf(error), { cause: error });
  }
}

async function describe(context: ContainerContext, root: RootView, path: string): Promise<PathStat> {
  const stat = await lstat(context, root, path);
  const target = isType(stat, S_IFLNK)
    ? await context.storage.foreign.follow(root, path, { allowsMissing: true })
    : undefined;
  return {
    name: lastPart(path),
    size: stat.sizeBytes,
    mode: goFileMode(stat.mode),
    mtime: formatMtime(stat),
    linkTarget: target?.path ?? "",
  };
}

/** The failed path is the one that was asked for, as Go's os.Lstat puts it. */
async function lstat({ storage }: ContainerContext, root: RootView, path: string): Promise<FileStat> {
  try {
    return await storage.foreign.lstat(root, path);
  } catch (error) {
    const reason = reasons[errnoOf(error) ?? ""];
    if (reason === undefined) throw error;
    throw new EngineError("system", `lstat ${path}: ${reason}`, { cause: error });
  }
}

/** What Go calls an errno; only those that a path can bring about. */
const reasons: Readonly<Record<string, string>> = {
  ENOTDIR: "not a directory",
  ELOOP: "too many levels of symbolic links",
  EACCES: "permission denied",
  ENAMETOOLONG: "file name too long",
  EINVAL: "invalid argument",
};

async function explaining<T>(path: string, reference: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof EngineError) throw error;
    const code = errnoOf(error) ?? "";
    if (code === "ENOENT") {
      throw new EngineError("notFound", `Could not find the file ${path} in container ${reference}`, { cause: error });
    }
    // Too many links are counted, and worded, where they are followed.
    const reason = code === "ELOOP" ? undefined : reasons[code];
    throw new EngineError("system", reason ?? messageOf(error), { cause: error });
  }
}

/** moby's NoOverwriteDirNonDir names both sides. */
function overwriteRefused(error: unknown, directory: string): EngineError | undefined {
  if (!(error instanceof Error) || !("path" in error) || typeof error.path !== "string") return undefined;
  const path = posix.normalize(error.path).replace(/\/$/, "");
  if (errnoOf(error) === "EISDIR") {
    return new EngineError("system", `cannot overwrite directory "${path}" with non-directory "${directory}"`);
  }
  if (errnoOf(error) === "ENOTDIR") {
    return new EngineError("system", `cannot overwrite non-directory "${path}" with directory "${directory}"`);
  }
  return undefined;
}

/** A trailing slash or dot says that a directory is meant; cleaning the path must not take that away. */
function keepEnding(clean: string, original: string): string {
  const isDot = (path: string) => path === "." || path.endsWith("/.");
  let kept = clean.length > 1 ? clean.replace(/\/$/, "") : clean;
  if (isDot(original) && !isDot(kept)) kept = kept.endsWith("/") ? `${kept}.` : `${kept}/.`;
  if (original.endsWith("/") && !kept.endsWith("/")) kept += "/";
  return kept;
}

/** filepath.Base: "." stays, the root is "/". */
function lastPart(path: string): string {
  const trimmed = path.replace(/\/+$/, "");
  return trimmed === "" ? "/" : trimmed.slice(trimmed.lastIndexOf("/") + 1);
}

const typeBits = new Map<number, number>([
  [S_IFDIR, 2 ** 31],
  [S_IFLNK, 2 ** 27],
  [S_IFBLK, 2 ** 26],
  [S_IFIFO, 2 ** 25],
  [S_IFSOCK, 2 ** 24],
  [S_IFCHR, 2 ** 26 + 2 ** 21],
]);

/** Go's os.FileMode: permissions below, types and set-id bits far above, where the kernel has none. */
export function goFileMode(mode: number): number {
  const special = (bit: number, go: number) => ((mode & bit) === 0 ? 0 : go);
  const type = typeBits.get(mode & 0o170000) ?? 0;
  return type + special(0o4000, 2 ** 23) + special(0o2000, 2 ** 22) + special(0o1000, 2 ** 20) + (mode & 0o777);
}

/** As Go prints the local time of the daemon; ours is UTC. */
function formatMtime({ mtime }: FileStat): string {
  const whole = new Date(mtime.seconds * 1000).toISOString().slice(0, 19);
  const fraction = String(mtime.nanoseconds).padStart(9, "0").replace(/0+$/, "");
  return `${whole}${fraction === "" ? "" : `.${fraction}`}Z`;
}
