// A container's file system for `docker cp`: a running one's own, through /proc; of a stopped one a view is built of its
// snapshot, its volumes and its files in /etc. The view is assembled in a private folder, cloned as a detached tree, and the
// folder is unmounted before anything else happens: no mount is left when the daemon dies while a client reads.
import { closeSync, existsSync, mkdirSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "#base/errors";
import type { IdMappings } from "#base/id-mappings";
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
import { followLinks } from "#storage";
import { stackOwner } from "../network/shared-sandbox.ts";
import { remapOf, type UserRemap } from "../user-remap.ts";
import { mapTree } from "../volume/map-tree.ts";
import type { MountTree } from "../volume/trees.ts";
import type { Container } from "./container.ts";
import type { ContainerContext } from "./context.ts";
import { containerDirectory } from "./paths.ts";

/** A descriptor of the root directory, valid until disposed. */
export interface RootView extends AsyncDisposable {
  readonly rootFd: number;
  /** Set where files have the host's ids, and not those that the container sees. */
  readonly idMappings?: IdMappings;
}

/** For reading it may stay open as long as a client takes. For writing hold the container's lock: nobody may start it meanwhile. */
export async function openRoot(
  context: ContainerContext,
  container: Container,
  options: { readonly isReadOnly: boolean },
): Promise<RootView> {
  await using undo = new AsyncDisposableStack();
  undo.use(context.volumes.announce(container.record));
  const { rootFd, idMappings } = undo.use(await openView(context, container, options));
  const open = undo.move();
  return { rootFd, ...(idMappings && { idMappings }), [Symbol.asyncDispose]: () => open.disposeAsync() };
}

async function openView(
  context: ContainerContext,
  container: Container,
  { isReadOnly }: { readonly isReadOnly: boolean },
): Promise<RootView> {
  const running = openRunningRoot(context, container);
  if (running !== undefined) return running;
  const view = await openStopped(context, container, isReadOnly);
  if (view.isWhole || !isReadOnly) return view;
  await view[Symbol.asyncDispose]();
  await context.locks.run(container.id, () => makeMountPoints(context, container));
  return openRunningRoot(context, container) ?? openStopped(context, container, isReadOnly);
}

/** Before its first start a container may have none for its mounts. */
async function makeMountPoints(context: ContainerContext, container: Container): Promise<void> {
  const view = await openView(context, container, { isReadOnly: false });
  await view[Symbol.asyncDispose]();
}

/** The path ends in the process's own root: what it has mounted since its start is there too. */
function openRunningRoot(context: ContainerContext, container: Container): RootView | undefined {
  const { pid } = container.record.state;
  if (pid === 0 || !container.isRunning) return undefined;
  try {
    const root = owned(openat2(AT_FDCWD, `/proc/${pid}/root`, { flags: O_PATH | O_DIRECTORY }));
    const idMappings = remapOf(container.record.hostConfig, context.defaults.userRemap)?.mappings;
    return { ...root, ...(idMappings && { idMappings }) };
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ESRCH") return undefined;
    throw error;
  }
}

const owned = (rootFd: number): RootView => ({ rootFd, [Symbol.asyncDispose]: async () => closeSync(rootFd) });

interface StoppedView extends RootView {
  /** Every mount found its place. */
  readonly isWhole: boolean;
}

async function openStopped(context: ContainerContext, container: Container, isReadOnly: boolean): Promise<StoppedView> {
  await using undo = new AsyncDisposableStack();
  const { trees } = undo.use(await context.volumes.openTrees(container.record));
  const remap = remapOf(container.record.hostConfig, context.defaults.userRemap);
  const owner = stackOwner(container.record, (reference) => context.index.find(reference)?.record);
  const files = openFiles(containerDirectory(context.defaults, owner.id), remap);
  for (const file of files) undo.defer(() => closeSync(file.fd));
  await using mounted = await context.storage.snapshots.mount(container.id, { isReadOnly });
  // Outer mounts first, so that inner ones land on them; the container's own cover the engine's files.
  const ordered = [...files, ...trees].sort((a, b) => depthOf(a) - depthOf(b));
  const view = assemble(context, mounted.rootFd, { trees: ordered, isReadOnly });
  undo.use(view);
  const open = undo.move();
  return { ...view, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

const depthOf = ({ destination }: MountTree): number => destination.split("/").length;

/** Those that an earlier start has written. */
function openFiles(directory: string, remap: UserRemap | undefined): MountTree[] {
  return ["hosts", "hostname", "resolv.conf"].flatMap((name) => {
    const path = join(directory, name);
    if (!existsSync(path)) return [];
    const tree = openTree(AT_FDCWD, path, OPEN_TREE_CLONE);
    return { fd: remap === undefined ? tree : mapTree(tree, remap), destination: `/etc/${name}`, isReadOnly: false };
  });
}

function assemble(
  context: ContainerContext,
  snapshotFd: number,
  { trees, isReadOnly }: { readonly trees: readonly MountTree[]; readonly isReadOnly: boolean },
): StoppedView {
  const folder = join(context.defaults.execRoot, "views", shortId(newId()));
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  using undo = new DisposableStack();
  undo.defer(() => rmdirSync(folder));
  moveMount(snapshotFd, AT_FDCWD, folder);
  undo.defer(() => umount2(folder, MNT_DETACH));
  const rootFd = undo.use(descriptor(openat2(AT_FDCWD, folder, { flags: O_PATH | O_DIRECTORY }))).fd;
  const isWhole = trees.map((tree) => attach(rootFd, tree, isReadOnly || tree.isReadOnly)).every(Boolean);
  return { ...owned(openTree(rootFd, "", OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH)), isWhole };
}

/** Whether there is a place for it. */
function attach(rootFd: number, { fd, destination }: MountTree, isReadOnly: boolean): boolean {
  const set = isReadOnly ? MOUNT_ATTR_RDONLY : 0;
  mountSetattr(fd, "", AT_RECURSIVE | AT_EMPTY_PATH, { set, propagation: MS_PRIVATE });
  using target = openMountPoint(rootFd, destination, statSync(fdPath(fd)).isDirectory());
  if (target !== undefined) moveMount(fd, target.fd, "");
  return target !== undefined;
}

/**
 * Where the container would have it mounted: links followed inside the root, missing folders made as the runtime makes them.
 * undefined: that cannot be, in a read-only view or inside of a read-only mount.
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
