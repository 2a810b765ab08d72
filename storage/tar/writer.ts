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

/** The header of an entry in pax format: one ustar block, and before it an extended header where that cannot hold it all. */
export function encodeHeader(entry: TarEntry): Buffer {
  const records = paxRecords(entry);
  const block = ustarBlock(entry, typeflags[entry.type]);
  if (records.size === 0) return block;
  const body = formatPax(records);
  const head = ustarBlock({ ...paxEntry, name: paxName(entry.name), sizeBytes: body.length }, "x");
  return Buffer.concat([head, body, padding(body.length), block]);
}

/** The zeros that fill up the last block of `size` bytes. */
export const padding = (size: number): Buffer => zeros.subarray(0, (blockBytes - (size % blockBytes)) % blockBytes);
const zeros = Buffer.alloc(2 * blockBytes);

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

/** Where Go puts it: `dir/PaxHeaders.0/base`. */
function paxName(name: Uint8Array): Buffer {
  const text = Buffer.from(name).toString("latin1").replace(/\/$/, "");
  const slash = text.lastIndexOf("/");
  const inside = `${text.slice(0, slash + 1)}PaxHeaders.0/${text.slice(slash + 1)}`;
  return Buffer.from(inside.replace(/[^\x20-\x7e]/g, "").slice(0, 100), "latin1");
}

const octalLimit = (digits: number): number => 8 ** digits;
const isAscii = (bytes: Uint8Array): boolean => bytes.every((byte) => byte < 0x80);

/** What the ustar block cannot say. */
function paxRecords(entry: TarEntry): Map<string, Uint8Array> {
  const records = new Map<string, Uint8Array>();
  const text = (key: string, value: string | number): unknown => records.set(key, Buffer.from(`${value}`));
  if (entry.name.length > 100 || !isAscii(entry.name)) records.set("path", entry.name);
  if (entry.linkname.length > 100 || !isAscii(entry.linkname)) records.set("linkpath", entry.linkname);
  if (entry.uid >= octalLimit(7)) text("uid", entry.uid);
  if (entry.gid >= octalLimit(7)) text("gid", entry.gid);
  if (entry.sizeBytes >= octalLimit(11)) text("size", entry.sizeBytes);
  const { mtime } = entry;
  const isPlainTime = mtime.nanoseconds === 0 && mtime.seconds >= 0 && mtime.seconds < octalLimit(11);
  if (!isPlainTime) text("mtime", formatTime(mtime));
  for (const [name, value] of entry.xattrs) records.set(`SCHILY.xattr.${name}`, value);
  return records;
}

function ustarBlock(entry: TarEntry, typeflag: string): Buffer {
  const block = Buffer.alloc(blockBytes);
  block.set(entry.name.subarray(0, 100), 0);
  octal(block, 100, 7, entry.mode);
  octal(block, 108, 7, entry.uid);
  octal(block, 116, 7, entry.gid);
  octal(block, 124, 11, entry.sizeBytes);
  octal(block, 136, 11, entry.mtime.seconds);
  block.write(typeflag, 156, "latin1");
  block.set(entry.linkname.subarray(0, 100), 157);
  block.write("ustar\u000000", 257, "latin1");
  octal(block, 329, 7, entry.deviceMajor);
  octal(block, 337, 7, entry.deviceMinor);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** A value that does not fit is 0 here and stands in the extended header. */
function octal(block: Buffer, at: number, digits: number, value: number): void {
  const fits = value >= 0 && value < octalLimit(digits);
  block.write((fits ? value : 0).toString(8).padStart(digits, "0"), at, "latin1");
}
