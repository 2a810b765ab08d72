import { closeSync, mkdirSync, openSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "#base/errors";
import {
  AT_FDCWD,
  fdPath,
  fsconfigCreate,
  fsconfigFlag,
  fsconfigString,
  fsmount,
  fsopen,
  MNT_DETACH,
  MOUNT_ATTR_RDONLY,
  MS_PRIVATE,
  MS_RDONLY,
  mount,
  mountSetattr,
  O_DIRECTORY,
  O_PATH,
  OPEN_TREE_CLONE,
  openTree,
  umount2,
} from "#native";
import type { OverlayMount } from "../types.ts";

/** The parts of one overlay below the snapshots' folder, top first. */
export interface OverlayParts {
  /** Folders: `12/fs`, `12/init`, `empty/fs`. */
  readonly lower: readonly string[];
  /** A snapshot's number: `fs` and `work` are in its folder. */
  /** Undefined: read-only. */
  readonly upper: string | undefined;
}

/**
 * redirect_dir: an image could carry trusted.overlay.redirect and point anywhere; and a writable layer with redirects or
 * metadata-only copies could not be read as a layer of its own. index: two mounts of a layer after a crash must not refuse.
 */
const fixedOptions = ["redirect_dir=nofollow", "metacopy=off", "index=off"];

export const overlayOptions = (parts: OverlayParts, directory: string): OverlayMount => ({
  type: "overlay",
  options: formatOptions(parts, `${directory}/`),
});

function formatOptions({ lower, upper }: OverlayParts, prefix: string): string {
  const lowerdir = `lowerdir=${lower.map((folder) => `${prefix}${folder}`).join(":")}`;
  const writable = upper === undefined ? [] : [`upperdir=${prefix}${upper}/fs`, `workdir=${prefix}${upper}/work`];
  return [lowerdir, ...writable, ...fixedOptions].join(",");
}

/**
 * A mount that is in no mount table: the O_PATH descriptor of its root, owned by the caller, who ends the mount by closing
 * it. `execRoot` is used only by kernels before 6.7, for a mount point that exists for a moment.
 */
export function mountDetached(parts: OverlayParts, directory: string, execRoot: string): number {
  const base = openSync(directory, O_PATH | O_DIRECTORY);
  try {
    return mountByFd(parts, fdPath(base));
  } catch (error) {
    if (errnoOf(error) !== "EINVAL") throw error;
    return mountByPath(parts, fdPath(base), execRoot);
  } finally {
    closeSync(base);
  }
}

function mountByFd({ lower, upper }: OverlayParts, base: string): number {
  const context = fsopen("overlay");
  try {
    fsconfigString(context, "source", "overlay");
    // One call for each layer: a value may have 255 bytes only (lowerdir+ since Linux 6.7).
    for (const folder of lower) fsconfigString(context, "lowerdir+", `${base}/${folder}`);
    if (upper === undefined) fsconfigFlag(context, "ro");
    else {
      fsconfigString(context, "upperdir", `${base}/${upper}/fs`);
      fsconfigString(context, "workdir", `${base}/${upper}/work`);
    }
    for (const option of fixedOptions) {
      const [key = "", value = ""] = option.split("=");
      fsconfigString(context, key, value);
    }
    fsconfigCreate(context);
    return fsmount(context, upper === undefined ? MOUNT_ATTR_RDONLY : 0);
  } finally {
    closeSync(context);
  }
}

/** By /proc/self/fd paths, which are short whatever the data root is called. Attached and detached without a break between. */
function mountByPath(parts: OverlayParts, base: string, execRoot: string): number {
  const target = join(execRoot, `mount-${process.pid}`);
  mkdirSync(target, { recursive: true, mode: 0o700 });
  const flags = parts.upper === undefined ? MS_RDONLY : 0;
  mount({ source: "overlay", target, type: "overlay", flags, options: formatOptions(parts, `${base}/`) });
  try {
    mountSetattr(AT_FDCWD, target, 0, { propagation: MS_PRIVATE });
    return openTree(AT_FDCWD, target, OPEN_TREE_CLONE);
  } finally {
    umount2(target, MNT_DETACH);
    rmdirSync(target);
  }
}
