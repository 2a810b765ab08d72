import { closeSync } from "node:fs";
import {
  AT_FDCWD,
  isDirectory,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  openat2,
  type PathBytes,
  readDirectory,
  statx,
} from "#native";
import { PathError } from "../foreign/root-path.ts";
import { PATH_MAX } from "./paths.ts";
import { ifThere } from "./tree.ts";

/** Bytes of everything that is not a directory, each inode once (moby: daemon/internal/directory.Size). */
export function measureTree(directory: string): number {
  return ifThere(() => measure(AT_FDCWD, directory, { seen: new Set(), depth: 0 }), 0);
}

interface Walk {
  readonly seen: Set<bigint>;
  readonly depth: number;
}

function measure(parentFd: number, name: PathBytes, { seen, depth }: Walk): number {
  if (depth > PATH_MAX / 2) throw new PathError("ENAMETOOLONG");
  const fd = openat2(parentFd, name, { flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW });
  try {
    let bytes = 0;
    const inside = { seen, depth: depth + 1 };
    for (const entry of [...readDirectory(fd)]) bytes += ifThere(() => measureEntry(fd, entry.name, inside), 0);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

function measureEntry(fd: number, name: Buffer, walk: Walk): number {
  const stat = statx(fd, name);
  if (isDirectory(stat)) return measure(fd, name, walk);
  const { seen } = walk;
  if (stat.nlink > 1 && seen.has(stat.ino)) return 0;
  if (stat.nlink > 1) seen.add(stat.ino);
  return stat.sizeBytes;
}
