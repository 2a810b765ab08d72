/**
 * Names in archives are bytes. Here they are strings with one character per byte (latin1): splitting and joining is exact,
 * and they serve as keys.
 */
export type BytePath = string;

export const toBytePath = (name: Uint8Array): BytePath =>
  Buffer.from(name.buffer, name.byteOffset, name.byteLength).toString("latin1");
export const toBytes = (path: BytePath): Buffer => Buffer.from(path, "latin1");

/**
 * What a container nests deeper than this many bytes of path has no name that could be used, and no stack is deep enough for
 * all of it: walks end here, as moby's do.
 */
export const PATH_MAX = 4096;

/** An entry's place in the tree; the root itself has an empty base. */
export interface Place {
  readonly parent: BytePath;
  readonly base: BytePath;
}

/**
 * The name cleaned like Go's path.Join("/", name): `.` and empty parts go, `..` stops at the root. That is what dockerd does
 * with a hostile name, since it unpacks in a chroot.
 */
export function placeOf(name: Uint8Array): Place {
  const parts: BytePath[] = [];
  for (const part of toBytePath(name).split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  const base = parts.pop() ?? "";
  return { parent: parts.join("/"), base };
}

export const joinPlace = ({ parent, base }: Place): BytePath => (parent === "" ? base : `${parent}/${base}`);

/** As the archive calls it; for people. */
export const displayPlace = (place: Place): string => `/${toBytes(joinPlace(place)).toString("utf8")}`;
