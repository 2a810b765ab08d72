import type { Timestamp } from "#native";
import { blockBytes, type EntryType, invalidHeader, type SparseMap, type TarEntry, TarError } from "./entry.ts";
import { parseDecimal, parseNumber, parseTime } from "./numbers.ts";
import { type PaxRecords, recordOf } from "./pax.ts";

/** The fields of one header block as they stand there. */
export interface RawHeader {
  readonly name: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtimeSeconds: number;
  readonly typeflag: string;
  readonly linkname: Buffer;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly block: Buffer;
}

/** What came before a header and changes it. */
export interface Overrides {
  readonly pax: PaxRecords;
  readonly longName: Buffer | undefined;
  readonly longLink: Buffer | undefined;
}

export function parseHeader(shared: Buffer): RawHeader {
  const block = Buffer.from(shared);
  checkSum(block);
  const magic = block.toString("latin1", 257, 263);
  const isUstar = magic === "ustar\0";
  const isGnu = magic === "ustar ";
  const hasDevices = isUstar || isGnu;
  const name = cut(block, 0, 100);
  const prefix = isUstar || (isGnu && isMangledGnu(block)) ? cut(block, 345, 155) : Buffer.alloc(0);
  return {
    name: prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name]),
    mode: parseNumber(block.subarray(100, 108)),
    uid: parseNumber(block.subarray(108, 116)),
    gid: parseNumber(block.subarray(116, 124)),
    sizeBytes: parseNumber(block.subarray(124, 136)),
    mtimeSeconds: parseNumber(block.subarray(136, 148)),
    typeflag: String.fromCharCode(block[156] ?? 0),
    linkname: cut(block, 157, 100),
    deviceMajor: hasDevices ? parseNumber(block.subarray(329, 337)) : 0,
    deviceMinor: hasDevices ? parseNumber(block.subarray(337, 345)) : 0,
    block,
  };
}

/**
 * Go before 1.8, and so the engines of its time, wrote a prefix into GNU headers, where the access and change times belong:
 * what stands there is not a number then (Go: readHeader).
 */
function isMangledGnu(block: Buffer): boolean {
  try {
    for (const at of [345, 357]) parseNumber(block.subarray(at, at + 12));
    return false;
  } catch {
    return cut(block, 345, 155).every((byte) => byte < 0x80);
  }
}

function cut(block: Buffer, at: number, length: number): Buffer {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return end === -1 ? field : field.subarray(0, end);
}

/** Bytes summed as unsigned (POSIX) or, by old writers, as signed; the field itself counts as blanks. */
function checkSum(block: Buffer): void {
  let [unsigned, signed] = [0, 0];
  for (let at = 0; at < blockBytes; at++) {
    const byte = at >= 148 && at < 156 ? 0x20 : (block[at] ?? 0);
    unsigned += byte;
    signed += byte < 128 ? byte : byte - 256;
  }
  const stated = parseNumber(block.subarray(148, 156));
  if (stated !== unsigned && stated !== signed) throw invalidHeader();
}

const types: Readonly<Record<string, EntryType>> = {
  "\0": "file",
  "0": "file",
  "1": "link",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "directory",
  "6": "fifo",
  "7": "file",
  S: "file",
};

/** Puts a header and what came before it together. */
export function resolveEntry(raw: RawHeader, overrides: Overrides, sparse: SparseMap | undefined): TarEntry {
  const { pax } = overrides;
  const sparseName = sparse === undefined ? undefined : recordOf(pax, "GNU.sparse.name");
  const name = sparseName ?? overrides.longName ?? recordOf(pax, "path") ?? raw.name;
  const linkname = overrides.longLink ?? recordOf(pax, "linkpath") ?? raw.linkname;
  const type = typeOf(raw.typeflag, name);
  return {
    name,
    type,
    linkname,
    mode: raw.mode & 0o7777,
    uid: ownerOf(recordOf(pax, "uid"), raw.uid),
    gid: ownerOf(recordOf(pax, "gid"), raw.gid),
    sizeBytes: type === "file" ? sizeOf(raw, pax) : 0,
    mtime: timeOf(recordOf(pax, "mtime")) ?? { seconds: raw.mtimeSeconds, nanoseconds: 0 },
    atime: timeOf(recordOf(pax, "atime")),
    deviceMajor: raw.deviceMajor,
    deviceMinor: raw.deviceMinor,
    xattrs: xattrsOf(pax),
    sparse,
  };
}

/** Of what follows in the archive. Links, directories and devices have nothing, whatever they say (Go: isHeaderOnlyType). */
export function bodySize(raw: RawHeader, pax: PaxRecords): number {
  const type = types[raw.typeflag];
  return type === undefined || type === "file" ? sizeOf(raw, pax) : 0;
}

function typeOf(typeflag: string, name: Buffer): EntryType {
  const type = types[typeflag];
  if (type === undefined) throw new TarError(`unhandled tar header type ${typeflag.charCodeAt(0)}`);
  // Before POSIX a directory was a file whose name ends with a slash.
  return typeflag === "\0" && name.at(-1) === 0x2f ? "directory" : type;
}

function sizeOf(raw: RawHeader, pax: PaxRecords): number {
  const text = recordOf(pax, "size");
  const size = text === undefined ? raw.sizeBytes : parseDecimal(text.toString("latin1"));
  if (size < 0) throw invalidHeader();
  return size;
}

function ownerOf(text: Buffer | undefined, raw: number): number {
  const owner = text === undefined ? raw : parseDecimal(text.toString("latin1"));
  // 2^32-1 is "no change" to chown(2): an entry with it would keep the daemon's own.
  if (owner < 0 || owner >= 0xffffffff) throw invalidHeader();
  return owner;
}

const timeOf = (text: Buffer | undefined): Timestamp | undefined =>
  text === undefined ? undefined : parseTime(text.toString("latin1"));

const xattrPrefix = "SCHILY.xattr.";
const none: ReadonlyMap<string, Uint8Array> = new Map();

function xattrsOf(pax: PaxRecords): ReadonlyMap<string, Uint8Array> {
  if (pax.size === 0) return none;
  const named = [...pax].filter(([key]) => key.startsWith(xattrPrefix));
  return new Map(named.map(([key, value]) => [key.slice(xattrPrefix.length), value]));
}
