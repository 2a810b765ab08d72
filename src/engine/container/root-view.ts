// A container's file system for `docker cp`: a running one's own, through /proc; of a stopped one a view is built of its
// snapshot, its volumes and its files in /etc. The view is assembled in a private folder, cloned as a detached tree, and the
// folder is unmounted before anything else happens: no mount is left when the daemon dies while a client reads.
import { closeSync, mkdirSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "#base/errors";
import { newId, shortId } from "#base/ids";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  fdPath,
  MNT_DETACH,
  MOUNT_ATTR_RDONLY,
  MS_PRIVATE,
  mkdirat,
  mknodat,
  mountSetattr,
  moveMount,
  O_DIRECTORY,
  O_PATH,
  OPEN_TREE_CLONE,
  openat2,
  openTree,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  S_IFREG,
  umount2,
} from "#native";
import type { Container } from "./container.ts";
import type { ContainerContext } from "./context.ts";
import { containerDirectory } from "./paths.ts";
import { followLinks } from "./root-path.ts";

/** A descriptor of the root directory, valid until disposed. */
export interface RootView extends AsyncDisposable {
  readonly rootFd: number;
}

interface Bind {
  readonly source: string;
  readonly destination: string;
  readonly isReadOnly: boolean;
}

/** For reading it may stay open as long as a client takes. For writing hold the container's lock: nobody may start it meanwhile. */
export async function openRoot(
  context: ContainerContext,
  container: Container,
  options: { readonly isReadOnly: boolean },
): Promise<RootView> {
  const running = openRunningRoot(container);
  if (running !== undefined) return running;
  const mounted = await context.storage.snapshots.mount(container.id, options);
  const binds = bindsOf(context, container, options.isReadOnly);
  if (binds.length === 0) return mounted;
  await using _mounted = mounted;
  return assemble(context, mounted.rootFd, binds);
}

/** The path ends in the process's own root: what it has mounted since its start is there too. */
function openRunningRoot(container: Container): RootView | undefined {
  const { pid } = container.record.state;
  if (pid === 0 || !container.isRunning) return undefined;
  try {
    return owned(openat2(AT_FDCWD, `/proc/${pid}/root`, { flags: O_PATH | O_DIRECTORY }));
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ESRCH") return undefined;
    throw error;
  }
}

const owned = (rootFd: number): RootView => ({ rootFd, [Symbol.asyncDispose]: async () => closeSync(rootFd) });

/** Outer mounts first, so that inner ones land on them. */
function bindsOf(context: ContainerContext, container: Container, isReadOnly: boolean): Bind[] {
  const directory = containerDirectory(context.defaults, container.id);
  const files = ["hosts", "hostname", "resolv.conf"].map((name) => ({
    source: join(directory, name),
    destination: `/etc/${name}`,
    isReadOnly,
  }));
  const mounts = container.record.mounts
    .filter(({ type }) => type === "bind" || type === "volume")
    .map(({ source, destination, rw }) => ({ source, destination, isReadOnly: isReadOnly || !rw }));
  return [...files, ...mounts]
    .filter(({ source }) => statSync(source, { throwIfNoEntry: false }) !== undefined)
    .sort((a, b) => a.destination.split("/").length - b.destination.split("/").length);
}

function assemble(context: ContainerContext, snapshotFd: number, binds: readonly Bind[]): RootView {
  const folder = join(context.defaults.execRoot, "views", shortId(newId()));
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  using undo = new DisposableStack();
  undo.defer(() => rmdirSync(folder));
  moveMount(snapshotFd, AT_FDCWD, folder);
  undo.defer(() => umount2(folder, MNT_DETACH));
  const rootFd = undo.use(descriptor(openat2(AT_FDCWD, folder, { flags: O_PATH | O_DIRECTORY }))).fd;
  for (const bind of binds) attach(rootFd, bind);
  return owned(openTree(rootFd, "", OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH));
}

function attach(rootFd: number, bind: Bind): void {
  using source = descriptor(openTree(AT_FDCWD, bind.source, OPEN_TREE_CLONE | AT_RECURSIVE));
  const set = bind.isReadOnly ? MOUNT_ATTR_RDONLY : 0;
  mountSetattr(source.fd, "", AT_RECURSIVE | AT_EMPTY_PATH, { set, propagation: MS_PRIVATE });
  using target = openMountPoint(rootFd, bind.destination, statSync(fdPath(source.fd)).isDirectory());
  if (target !== undefined) moveMount(source.fd, target.fd, "");
}

/**
 * Where the container would have it mounted: links followed inside the root, missing folders made as the runtime makes them.
 * In a read-only view a missing one is left out, and so is what it would have shown.
 */
function openMountPoint(rootFd: number, destination: string, isDirectory: boolean): Descriptor | undefined {
  const open = () =>
    descriptor(openat2(rootFd, destination, { flags: O_PATH, resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS }));
  try {
    return open();
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
  const parts = followLinks(rootFd, destination, { allowsMissing: true }).path.split("/").slice(1);
  try {
    for (const [index, name] of parts.entries()) {
      makeEntry(rootFd, parts.slice(0, index).join("/"), name, isDirectory || index < parts.length - 1);
    }
    return open();
  } catch (error) {
    if (errnoOf(error) === "EROFS") return undefined;
    throw error;
  }
}

function makeEntry(rootFd: number, folder: string, name: string, isDirectory: boolean): void {
  const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  using parent = descriptor(openat2(rootFd, `/${folder}`, { flags: O_PATH | O_DIRECTORY, resolve }));
  try {
    if (isDirectory) mkdirat(parent.fd, name, 0o755);
    else mknodat(parent.fd, name, S_IFREG | 0o644, 0n);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
}

interface Descriptor extends Disposable {
  readonly fd: number;
}

const descriptor = (fd: number): Descriptor => ({ fd, [Symbol.dispose]: () => closeSync(fd) });
