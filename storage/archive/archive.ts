import type { Readable } from "node:stream";
import type { PathBytes } from "#native";

export interface PackOptions {
  /** What the top entry is called in the tar; entries below begin with it. Default: the path's last part; "" leaves the top entry out. */
  readonly name?: string;
  /** `overlay`: char device 0/0 and opaque directories become `.wh.` entries. */
  readonly whiteouts?: "overlay";
  /** Which extended attributes go in: file capabilities only (as moby), or user.* and ACLs too. */
  readonly xattrs?: "capability" | "all";
  readonly owner?: { readonly uid: number; readonly gid: number };
  readonly signal?: AbortSignal;
}

/**
 * The tree at `path` below the directory `rootFd`, as a tar. Every step is resolved inside the root, links included. The
 * descriptor must stay open until the stream has ended or is destroyed. A missing path is the stream's error (ENOENT).
 */
export function packTree(_rootFd: number, _path: PathBytes, _options?: PackOptions): Readable {
  throw new Error("being written");
}

export interface UnpackOptions {
  /** moby's NoOverwriteDirNonDir: a directory never replaces a file nor a file a directory; fails with EISDIR or ENOTDIR. */
  readonly noOverwriteDirNonDir?: boolean;
  /** Every entry gets this owner instead of its own. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  readonly signal?: AbortSignal;
}

/**
 * Unpacks a plain tar below the directory `path` below `rootFd`; nothing is placed outside of it. The descriptor must stay
 * open until the promise settles.
 */
export function unpackInto(_rootFd: number, _path: PathBytes, _tar: Readable, _options?: UnpackOptions): Promise<void> {
  throw new Error("being written");
}
