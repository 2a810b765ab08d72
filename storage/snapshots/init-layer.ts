/**
 * The layer between an image and each of its containers: the mount points and empty files that a runtime needs and that neither
 * `docker diff` nor a commit may show (moby daemon/initlayer). It depends on the image only, so containers share it: it lies
 * beside the files of the image's top layer, and goes with them.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { errnoOf } from "#base/errors";
import { type FileStat, isDirectory, statx } from "#native";

const folders = ["dev/pts", "dev/shm", "proc", "sys"];
const files = [".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"];
/** Every folder that one of them lies in, parents first. */
const parents = ["dev", "etc"];

/**
 * `root` is the image's merged tree, undefined for none. Built aside and renamed: whole or not there. In one go, a dozen calls
 * once for an image: containers that are created at the same time find it finished.
 */
export function makeInitLayer(directory: string, root: number | undefined): void {
  const draft = `${directory}.${process.pid}`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { mode: 0o755 });
  for (const folder of [...parents, ...folders])
    if (!isInImage(root, folder)) mkdirSync(join(draft, folder), { recursive: true, mode: 0o755 });
  for (const file of files) {
    mkdirSync(join(draft, file, ".."), { recursive: true, mode: 0o755 });
    closeSync(openSync(join(draft, file), "wx", 0o755));
  }
  symlinkSync("/proc/mounts", join(draft, "etc/mtab"));
  // What is on top decides about a merged folder's owner, mode and times: the image's must show.
  for (const folder of ["", ...parents]) copyAttributes(join(draft, folder), statOf(root, folder || "."));
  renameSync(draft, directory);
}

const isInImage = (root: number | undefined, path: string): boolean =>
  !parents.includes(path) && statOf(root, path) !== undefined;

/** Of a real folder; anything else, a symlink too, is covered by ours. */
function statOf(root: number | undefined, path: string): FileStat | undefined {
  if (root === undefined) return undefined;
  try {
    const stat = statx(root, path);
    return isDirectory(stat) ? stat : undefined;
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

function copyAttributes(path: string, stat: FileStat | undefined): void {
  if (stat === undefined) return;
  chownSync(path, stat.uid, stat.gid);
  chmodSync(path, stat.mode & 0o7777);
  const seconds = stat.mtime.seconds + stat.mtime.nanoseconds / 1e9;
  utimesSync(path, seconds, seconds);
}
