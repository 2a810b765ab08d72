import assert from "node:assert/strict";
import { test } from "node:test";
import type { TarEntry } from "../../storage/tar/entry.ts";
import { formatTime, parseNumber, parseTime } from "../../storage/tar/numbers.ts";
import { formatPax, parsePax } from "../../storage/tar/pax.ts";
import { TarReader } from "../../storage/tar/reader.ts";
import { encodeHeader, endMarker, padding } from "../../storage/tar/writer.ts";

interface Read {
  readonly entry: TarEntry;
  readonly data: Buffer;
}

/** Feeds the tar in pieces of so many bytes. */
function read(tar: Buffer, pieceBytes: number): Read[] {
  const found: { entry: TarEntry; data: Buffer }[] = [];
  const reader = new TarReader({
    entry: (entry) => found.push({ entry, data: Buffer.alloc(0) }),
    data: (chunk) => {
      const last = found.at(-1);
      if (last !== undefined) last.data = Buffer.concat([last.data, chunk]);
    },
    entryEnd: () => undefined,
  });
  for (let at = 0; at < tar.length; at += pieceBytes) reader.write(tar.subarray(at, at + pieceBytes));
  reader.end();
  return found;
}

const entryOf = (changes: Partial<TarEntry>): TarEntry => ({
  name: Buffer.from("file"),
  type: "file",
  linkname: Buffer.alloc(0),
  mode: 0o644,
  uid: 0,
  gid: 0,
  sizeBytes: 0,
  mtime: { seconds: 5, nanoseconds: 0 },
  atime: undefined,
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: new Map(),
  sparse: undefined,
  ...changes,
});

test("what the writer writes, the reader reads, in pieces of any size", () => {
  const entries = [
    entryOf({ name: Buffer.from("d/"), type: "directory", mode: 0o7777 }),
    entryOf({ name: Buffer.from(`${"x".repeat(99)}/${"y".repeat(99)}`), uid: 3_000_000_000, gid: 2_097_152 }),
    entryOf({ name: Buffer.from([0x66, 0xff]), xattrs: new Map([["user.x", Buffer.from([0, 10, 255])]]) }),
    entryOf({ type: "symlink", linkname: Buffer.from("ü".repeat(80)) }),
    entryOf({ type: "char", deviceMajor: 259, deviceMinor: 1 }),
    entryOf({ mtime: { seconds: -2, nanoseconds: 5 } }),
  ];
  const body = Buffer.from("hello");
  const withBody = encodeHeader(entryOf({ sizeBytes: body.length }));
  const tar = Buffer.concat([...entries.map(encodeHeader), withBody, body, padding(body.length), endMarker()]);
  for (const pieceBytes of [1, 7, 512, 513, tar.length]) {
    const found = read(tar, pieceBytes);
    assert.deepEqual(
      found.slice(0, -1).map(comparable),
      entries.map((entry) => comparable({ entry })),
    );
    assert.equal(found.at(-1)?.data.toString(), "hello");
  }
});

const comparable = ({ entry }: { entry: TarEntry }): unknown => ({
  ...entry,
  name: Buffer.from(entry.name).toString("latin1"),
  linkname: Buffer.from(entry.linkname).toString("latin1"),
  xattrs: [...entry.xattrs].map(([name, value]) => [name, Buffer.from(value).toString("hex")]),
});

test("pax records count their own length, at every length", () => {
  for (let length = 0; length < 1100; length++) {
    const records = new Map([["key", Buffer.alloc(length, "v")]]);
    const parsed = parsePax(formatPax(records));
    assert.equal(parsed.get("key")?.length, length === 0 ? undefined : length);
  }
});

test("numbers: octal, padded, base 256 and negative", () => {
  assert.equal(parseNumber(Buffer.from("0000755\0")), 0o755);
  assert.equal(parseNumber(Buffer.from("   755 \0")), 0o755);
  assert.equal(parseNumber(Buffer.from("\0\0\0\0")), 0);
  assert.equal(parseNumber(Buffer.from("8000000000000100", "hex")), 256);
  assert.equal(parseNumber(Buffer.from("ffffffffffffffff", "hex")), -1);
  assert.throws(() => parseNumber(Buffer.from("9")), /invalid tar header/);
  assert.throws(() => parseNumber(Buffer.from("80ffffffffffffff", "hex")), /invalid tar header/);
});

test("times: any number of decimals, before 1970 too", () => {
  assert.deepEqual(parseTime("12.3"), { seconds: 12, nanoseconds: 300_000_000 });
  assert.deepEqual(parseTime("-1.25"), { seconds: -2, nanoseconds: 750_000_000 });
  assert.deepEqual(parseTime("-1"), { seconds: -1, nanoseconds: 0 });
  assert.deepEqual(parseTime("1.0123456789999"), { seconds: 1, nanoseconds: 12_345_678 });
  for (const text of ["12.3", "-1.25", "-1", "0.000000001"]) assert.equal(formatTime(parseTime(text)), text);
  assert.throws(() => parseTime("1e5"), /invalid tar header/);
});
