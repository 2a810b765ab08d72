import type { Timestamp } from "#native";

export type EntryType = "file" | "directory" | "symlink" | "link" | "char" | "block" | "fifo";

/** One member of a tar. Names are bytes: nothing says that they are UTF-8. */
export interface TarEntry {
  readonly name: Uint8Array;
  readonly type: EntryType;
  /** Of a symlink or hard link; empty for others. */
  readonly linkname: Uint8Array;
  /** Permission bits, setuid and the like included. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes that follow in the archive; 0 for all but files. */
  readonly sizeBytes: number;
  readonly mtime: Timestamp;
  readonly atime: Timestamp | undefined;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** By name; values are bytes. */
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
  /** Present when the archive holds only the parts of the file that are not zero. */
  readonly sparse: SparseMap | undefined;
}

export interface SparseMap {
  readonly realSizeBytes: number;
  /** In order, without overlap. Their lengths add up to the entry's sizeBytes. */
  readonly fragments: readonly { readonly offset: number; readonly length: number }[];
}

export const blockBytes = 512;

/** What Go's archive/tar says, and so what dockerd's users see. */
export class TarError extends Error {
  readonly code = "EBADTAR";
  constructor(message: string) {
    super(message);
    this.name = "TarError";
  }
}

export const invalidHeader = (): TarError => new TarError("archive/tar: invalid tar header");
export const unexpectedEnd = (): TarError => new TarError("unexpected EOF");
