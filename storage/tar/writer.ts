import { blockBytes, type EntryType, type TarEntry } from "./entry.ts";
import { formatTime } from "./numbers.ts";
import { formatPax } from "./pax.ts";

const typeflags: Readonly<Record<EntryType, string>> = {
  file: "0",
  link: "1",
  symlink: "2",
  char: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/**
 * The header of an entry in pax format: one ustar block, and before it an extended header where that cannot hold it all. Byte
 * for byte what Go's archive/tar writes, so that a commit here and on dockerd gives the same layer.
 */
export function encodeHeader(entry: TarEntry): Buffer {
  const records = paxRecords(entry);
  const flag = typeflags[entry.type];
  const split = records.size === 1 && records.has("path") ? splitPath(entry.name) : undefined;
  if (split !== undefined) return ustarBlock({ ...entry, name: split.name }, flag, split.prefix);
  const block = ustarBlock(entry, flag);
  if (records.size === 0) return block;
  const body = formatPax(records);
  const head = ustarBlock({ ...paxEntry, name: paxName(entry.name), sizeBytes: body.length }, "x");
  return Buffer.concat([head, body, padding(body.length), block]);
}

/** The zeros that fill up the last block of `size` bytes. */
export const padding = (size: number): Buffer => zeros.subarray(0, (blockBytes - (size % blockBytes)) % blockBytes);
const zeros = Buffer.alloc(2 * blockBytes);
const nothing = Buffer.alloc(0);

/** Two blocks of zeros. */
export const endMarker = (): Buffer => zeros;

const paxEntry: TarEntry = {
  name: new Uint8Array(),
  type: "file",
  linkname: new Uint8Array(),
  mode: 0,
  uid: 0,
  gid: 0,
  sizeBytes: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  atime: undefined,
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: new Map(),
  sparse: undefined,
};

/** Where Go puts it: `dir/PaxHeaders.0/base`, and `dir/PaxHeaders.0` for the directory itself. */
function paxName(name: Uint8Array): Buffer {
  const text = Buffer.from(name).toString("latin1");
  const base = text.lastIndexOf("/") + 1;
  const inside = `${text.slice(0, base)}PaxHeaders.0/${text.slice(base)}`;
  return Buffer.from(
    inside
      .replace(/[^\x01-\x7f]/g, "")
      .slice(0, nameBytes)
      .replace(/\/+$/, ""),
    "latin1",
  );
}

const nameBytes = 100;
const prefixBytes = 155;

/** ustar's own way to hold a longer name: its directories apart (Go: splitUSTARPath). */
function splitPath(name: Uint8Array): { name: Uint8Array; prefix: Uint8Array } | undefined {
  if (!isAscii(name)) return undefined;
  const end = name.length > prefixBytes + 1 ? prefixBytes + 1 : name.length - Number(name.at(-1) === slash);
  const at = name.lastIndexOf(slash, end - 1);
  const rest = name.length - at - 1;
  return at <= 0 || rest > nameBytes || rest === 0
    ? undefined
    : { name: name.subarray(at + 1), prefix: name.subarray(0, at) };
}

const slash = 0x2f;
const octalLimit = (digits: number): number => 8 ** digits;
const isAscii = (bytes: Uint8Array): boolean => bytes.every((byte) => byte < 0x80);

/** What the ustar block cannot say. */
function paxRecords(entry: TarEntry): Map<string, Uint8Array> {
  const records = new Map<string, Uint8Array>();
  const text = (key: string, value: string | number): unknown => records.set(key, Buffer.from(`${value}`));
  if (entry.name.length > nameBytes || !isAscii(entry.name)) records.set("path", entry.name);
  if (entry.linkname.length > nameBytes || !isAscii(entry.linkname)) records.set("linkpath", entry.linkname);
  if (entry.uid >= octalLimit(7)) text("uid", entry.uid);
  if (entry.gid >= octalLimit(7)) text("gid", entry.gid);
  if (entry.sizeBytes >= octalLimit(11)) text("size", entry.sizeBytes);
  const { mtime } = entry;
  const isPlainTime = mtime.nanoseconds === 0 && mtime.seconds >= 0 && mtime.seconds < octalLimit(11);
  if (!isPlainTime) text("mtime", formatTime(mtime));
  for (const [name, value] of entry.xattrs) records.set(`SCHILY.xattr.${name}`, value);
  return records;
}

function ustarBlock(entry: TarEntry, typeflag: string, prefix: Uint8Array = nothing): Buffer {
  const block = Buffer.alloc(blockBytes);
  block.set(shortName(entry.name), 0);
  octal(block, 100, 7, entry.mode);
  octal(block, 108, 7, entry.uid);
  octal(block, 116, 7, entry.gid);
  octal(block, 124, 11, entry.sizeBytes);
  octal(block, 136, 11, entry.mtime.seconds);
  block.write(typeflag, 156, "latin1");
  block.set(shortName(entry.linkname), 157);
  block.write("ustar\u000000", 257, "latin1");
  if (typeflag !== "x") {
    octal(block, 329, 7, entry.deviceMajor);
    octal(block, 337, 7, entry.deviceMinor);
  }
  block.set(prefix, 345);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** For readers who know no extended header: ASCII, and a cut name does not end like a directory's. */
function shortName(name: Uint8Array): Uint8Array {
  const ascii = name.filter((byte) => byte < 0x80);
  const cut = ascii.subarray(0, nameBytes);
  return ascii.length > nameBytes && cut.at(-1) === slash
    ? cut.subarray(0, cut.findLastIndex((byte) => byte !== slash) + 1)
    : cut;
}

/** A value that does not fit is 0 here and stands in the extended header. */
function octal(block: Buffer, at: number, digits: number, value: number): void {
  const fits = value >= 0 && value < octalLimit(digits);
  block.write((fits ? value : 0).toString(8).padStart(digits, "0"), at, "latin1");
}
