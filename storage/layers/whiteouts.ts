import { errnoOf } from "#base/errors";
import { fdPath, isDirectory, makeDevice, mknodat, S_IFCHR, setxattr, statx } from "#native";
import { PlaceError } from "../archive/failure.ts";
import { displayPlace, type Place, toBytes } from "../archive/paths.ts";
import type { RootedTree } from "../archive/tree.ts";

/** OCI image spec, layer.md#whiteouts: the names by which a layer says that something below it is gone. */
export const whiteoutPrefix = ".wh.";
export const opaqueMarker = ".wh..wh..opq";

export const opaqueXattr = "trusted.overlay.opaque";
const yes = Buffer.from("y");

/**
 * Turns a whiteout entry into what overlayfs understands (kernel, overlayfs.rst). True: it was one, and is dealt with. What
 * AUFS kept in folders like `.wh..wh.plnk` is unpacked as anything else: hard links may point into it.
 */
export function placeWhiteout(tree: RootedTree, place: Place): boolean {
  const { base } = place;
  if (!base.startsWith(whiteoutPrefix)) return false;
  if (base === opaqueMarker) makeOpaque(tree.directory(place.parent));
  else hide(tree.directory(place.parent), hiddenName(place));
  return true;
}

function makeOpaque(directoryFd: number): void {
  setxattr(fdPath(directoryFd), opaqueXattr, yes);
}

function hide(parentFd: number, name: Buffer): void {
  try {
    mknodat(parentFd, name, S_IFCHR, makeDevice(0, 0));
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
    // The layer hides the old and brings a new one, in whatever order: a file hides by being there, a directory must say so.
    if (isDirectory(statx(parentFd, name))) markOpaque(parentFd, name);
  }
}

function markOpaque(parentFd: number, name: Buffer): void {
  setxattr(Buffer.concat([Buffer.from(`${fdPath(parentFd)}/`), name]), opaqueXattr, yes);
}

/** `.wh...` would hide the parent and `.wh.` nothing at all. */
function hiddenName(place: Place): Buffer {
  const hidden = place.base.slice(whiteoutPrefix.length);
  if (hidden === "" || hidden === "." || hidden === "..")
    throw new PlaceError("mknod", displayPlace(place), "EINVAL", undefined);
  return toBytes(hidden);
}
