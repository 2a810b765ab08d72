import { goQuote } from "#base/strconv";
import { BreakoutError } from "./failure.ts";

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
 * Without empty parts, `.` and `..`. moby refuses a name that climbs above where it begins, though no descriptor of ours
 * would let it out.
 */
export function placeOf(name: Uint8Array, what: "entry name" | "hardlink target" = "entry name"): Place {
  const parts: BytePath[] = [];
  for (const part of toBytePath(name).split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) throw new BreakoutError(`invalid ${what} ${quoted(name)}`);
  }
  const base = parts.pop() ?? "";
  if (base === "" && what === "hardlink target") throw new BreakoutError(`invalid ${what} ${quoted(name)}`);
  return { parent: parts.join("/"), base };
}

const quoted = (name: Uint8Array): string => goQuote(Buffer.from(name).toString("utf8"));

export const joinPlace = ({ parent, base }: Place): BytePath => (parent === "" ? base : `${parent}/${base}`);

/** As the archive calls it; for people. */
export const displayPlace = (place: Place): string => `/${toBytes(joinPlace(place)).toString("utf8")}`;
