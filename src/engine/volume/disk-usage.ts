import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";

/** Bytes of the files below a folder, each inode once, as moby's directory.Size counts. -1 when it cannot be read. */
export async function directorySize(path: string, signal?: AbortSignal): Promise<number> {
  const inodes = new Set<number>();
  try {
    return await sizeBelow(path, inodes, signal);
  } catch {
    return -1;
  }
}

async function sizeBelow(path: string, inodes: Set<number>, signal?: AbortSignal): Promise<number> {
  let sizeBytes = 0;
  for await (const entry of await opendir(path)) {
    signal?.throwIfAborted();
    const child = join(path, entry.name);
    if (entry.isDirectory()) {
      sizeBytes += await sizeBelow(child, inodes, signal);
      continue;
    }
    const stats = await lstat(child);
    if (stats.size === 0 || inodes.has(stats.ino)) continue;
    inodes.add(stats.ino);
    sizeBytes += stats.size;
  }
  return sizeBytes;
}
