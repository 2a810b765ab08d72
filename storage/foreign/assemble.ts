/** What a stopped container would see: its snapshot with its mounts in it, as one detached tree. */
import { closeSync, mkdirSync, rmdirSync } from "node:fs";
import { errnoOf } from "#base/errors";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  fstat,
  isDirectory,
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
import type { JobOf } from "../workers/jobs.ts";
import { followLinks } from "./root-path.ts";

/** A detached tree, and where the container has it. It may be mounted once. */
export interface MountTree {
  readonly fd: number;
  readonly destination: string;
  readonly isReadOnly: boolean;
}

export interface Assembled {
  readonly rootFd: number;
  /** Every mount found its place. */
  readonly isWhole: boolean;
}

/** In a private folder, which is unmounted before anything else happens: no mount is left when the engine dies. */
export function assemble({ snapshotFd, trees, folder, isReadOnly }: JobOf<"assemble">): Assembled {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  using undo = new DisposableStack();
  undo.defer(() => rmdirSync(folder));
  moveMount(snapshotFd, AT_FDCWD, folder);
  undo.defer(() => umount2(folder, MNT_DETACH));
  const rootFd = undo.use(descriptor(openat2(AT_FDCWD, folder, { flags: O_PATH | O_DIRECTORY }))).fd;
  const isWhole = trees.map((tree) => attach(rootFd, tree, isReadOnly || tree.isReadOnly)).every(Boolean);
  return { rootFd: openTree(rootFd, "", OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH), isWhole };
}

/** Whether there is a place for it. */
function attach(rootFd: number, { fd, destination }: MountTree, isReadOnly: boolean): boolean {
  const set = isReadOnly ? MOUNT_ATTR_RDONLY : 0;
  mountSetattr(fd, "", AT_RECURSIVE | AT_EMPTY_PATH, { set, propagation: MS_PRIVATE });
  using target = openMountPoint(rootFd, destination, isDirectory(fstat(fd)));
  if (target !== undefined) moveMount(fd, target.fd, "");
  return target !== undefined;
}

/**
 * Where the container would have it mounted: links followed inside the root, missing folders made as the runtime makes them.
 * undefined: that cannot be, in a read-only view or inside of a read-only mount.
 */
function openMountPoint(rootFd: number, destination: string, isFolder: boolean): Descriptor | undefined {
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
      makeEntry(rootFd, parts.slice(0, index).join("/"), name, isFolder || index < parts.length - 1);
    }
    return open();
  } catch (error) {
    if (errnoOf(error) === "EROFS") return undefined;
    throw error;
  }
}

function makeEntry(rootFd: number, folder: string, name: string, isFolder: boolean): void {
  const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  using parent = descriptor(openat2(rootFd, `/${folder}`, { flags: O_PATH | O_DIRECTORY, resolve }));
  try {
    if (isFolder) mkdirat(parent.fd, name, 0o755);
    else mknodat(parent.fd, name, S_IFREG | 0o644, 0n);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
}

interface Descriptor extends Disposable {
  readonly fd: number;
}

const descriptor = (fd: number): Descriptor => ({ fd, [Symbol.dispose]: () => closeSync(fd) });
