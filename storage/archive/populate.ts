import { readdirSync } from "node:fs";
import { AT_EMPTY_PATH, AT_FDCWD, fchmodat, fchownat, fdPath, fstat, getxattr, listxattr, setxattr } from "#native";
import { TarReader } from "../tar/reader.ts";
import type { JobOf } from "../workers/jobs.ts";
import { applyXattr, isAllowedXattr } from "./attributes.ts";
import { packTree } from "./packer.ts";
import { Placer } from "./placer.ts";

export function populate({ targetFd, sourceFd }: JobOf<"populate">): void {
  if (readdirSync(fdPath(targetFd)).length > 0) return;
  copyContent(sourceFd, targetFd);
  copyAttributes(sourceFd, targetFd);
}

function copyContent(source: number, target: number): void {
  using placer = new Placer({ rootFd: target });
  const reader = new TarReader(placer);
  const options = { name: "", xattrs: "all", times: "nanoseconds" } as const;
  packTree(source, ".", options, (bytes) => reader.write(Buffer.from(bytes)));
  reader.end();
  placer.finish();
}

/** Of the directory itself. */
function copyAttributes(source: number, target: number): void {
  const found = fstat(source);
  const [from, to] = [fdPath(source), fdPath(target)];
  fchownat(target, "", { uid: found.uid, gid: found.gid }, AT_EMPTY_PATH);
  // fchmodat takes no O_PATH descriptor, but the path through /proc is as exact (proc_pid_fd(5)).
  fchmodat(AT_FDCWD, to, found.mode & 0o7777);
  for (const name of listxattr(from).filter((bytes) => isAllowedXattr(bytes.toString()))) {
    const value = getxattr(from, name);
    if (value !== undefined) applyXattr(name.toString(), () => setxattr(to, name, value));
  }
}
