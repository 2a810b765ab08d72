// A container's file system for `docker cp`: a running one's own, through /proc; of a stopped one a view is built of its
// snapshot, its volumes and its files in /etc.
import { closeSync, existsSync } from "node:fs";
import { join } from "node:path";
import type { IdMappings } from "#base/id-mappings";
import { newId, shortId } from "#base/ids";
import { AT_FDCWD, OPEN_TREE_CLONE, openTree } from "#native";
import type { ForeignRoot, MountTree } from "#storage";
import { stackOwner } from "../../network/sandbox/shared.ts";
import { remapOf, type UserRemap } from "../../user-remap.ts";
import { mapTree } from "../../volume/map-tree.ts";
import type { Container } from "../container.ts";
import type { ContainerContext } from "../context.ts";
import { containerDirectory } from "../paths.ts";
import { openRunningRoot } from "./user-files.ts";

/** Of the root directory; the descriptor is valid until disposed. */
export interface RootView extends ForeignRoot, AsyncDisposable {
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
  return {
    rootFd,
    key: container.id,
    ...(idMappings && { idMappings }),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

type View = Omit<RootView, "key">;

async function openView(
  context: ContainerContext,
  container: Container,
  { isReadOnly }: { readonly isReadOnly: boolean },
): Promise<View> {
  const running = openIfRunning(context, container);
  if (running !== undefined) return running;
  const view = await openStopped(context, container, isReadOnly);
  if (view.isWhole || !isReadOnly) return view;
  await view[Symbol.asyncDispose]();
  await context.locks.run(container.id, () => makeMountPoints(context, container));
  return openIfRunning(context, container) ?? openStopped(context, container, isReadOnly);
}

/** Before its first start a container may have none for its mounts. */
async function makeMountPoints(context: ContainerContext, container: Container): Promise<void> {
  const view = await openView(context, container, { isReadOnly: false });
  await view[Symbol.asyncDispose]();
}

function openIfRunning(context: ContainerContext, container: Container): View | undefined {
  const root = openRunningRoot(container);
  const idMappings = remapOf(container.record.hostConfig, context.defaults.userRemap)?.mappings;
  return root && { ...root, ...(idMappings && { idMappings }) };
}

interface StoppedView extends View {
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
  const folder = join(context.defaults.execRoot, "views", shortId(newId()));
  const snapshotFd = mounted.rootFd;
  const job = { snapshotFd, trees: ordered, folder, isReadOnly };
  const { rootFd, isWhole } = await context.storage.foreign.assemble(container.id, job);
  undo.defer(() => closeSync(rootFd));
  const open = undo.move();
  return { rootFd, isWhole, [Symbol.asyncDispose]: () => open.disposeAsync() };
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
