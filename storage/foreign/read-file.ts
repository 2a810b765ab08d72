import { closeSync, constants, fstatSync, readSync } from "node:fs";
import { errnoOf } from "#base/errors";
import { openat2, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV } from "#native";

/** An image may bring anything as its passwd file: a FIFO, a device, a gigabyte (podman CVE-2024-9676). */
const maxSizeBytes = 1 << 20;

/** The bytes of a regular file below a root, or undefined where there is none that can be trusted. `isHere`: EXDEV if another mount holds it. */
export function readRegularFile(
  rootFd: number,
  path: string,
  { isHere = false }: { readonly isHere?: boolean } = {},
): Buffer | undefined {
  const fd = openBelow(rootFd, path, isHere);
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

/** O_NONBLOCK: a FIFO must not hold us until somebody writes into it. */
function openBelow(rootFd: number, path: string, isHere: boolean): number | undefined {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (isHere ? RESOLVE_NO_XDEV : 0);
  try {
    return openat2(rootFd, path, { flags, resolve });
  } catch (error) {
    if (isHere && errnoOf(error) === "EXDEV") throw error;
    return undefined;
  }
}
