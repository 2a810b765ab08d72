import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { openat2, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, SystemError } from "#native";
import type { Container } from "./container.ts";
import type { ContainerContext } from "./context.ts";

/** An image may bring anything as its passwd file: a FIFO, a device, a gigabyte (podman CVE-2024-9676). */
const maxSizeBytes = 1 << 20;

export interface UserFiles extends AsyncDisposable {
  /** The bytes of a regular file in the container's root, or undefined when there is none that can be trusted. */
  read(path: string): Buffer | undefined;
}

/** Reads /etc/passwd and /etc/group as the container has them: through its own root when it runs, from its snapshot when not. */
export async function openUserFiles(context: ContainerContext, container: Container): Promise<UserFiles> {
  const { pid } = container.record.state;
  if (pid > 0) {
    const rootFd = openSync(`/proc/${pid}/root`, constants.O_RDONLY | constants.O_DIRECTORY);
    return { read: (path) => readRegularFile(rootFd, path), [Symbol.asyncDispose]: async () => closeSync(rootFd) };
  }
  const mounted = await context.storage.snapshots.mount(container.id);
  return {
    read: (path) => readRegularFile(mounted.rootFd, path),
    [Symbol.asyncDispose]: () => mounted[Symbol.asyncDispose](),
  };
}

function readRegularFile(rootFd: number, path: string): Buffer | undefined {
  const fd = openBelow(rootFd, path);
  if (fd === undefined) return undefined;
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return undefined;
    const buffer = Buffer.alloc(Math.min(stat.size, maxSizeBytes));
    return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, 0));
  } finally {
    closeSync(fd);
  }
}

/** O_NONBLOCK: a FIFO must not hold the daemon until somebody writes into it. */
function openBelow(rootFd: number, path: string): number | undefined {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  try {
    return openat2(rootFd, path, { flags, resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS });
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}
