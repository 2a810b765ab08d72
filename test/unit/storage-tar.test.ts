import assert from "node:assert/strict";
import { test } from "node:test";
import type { TarEntry } from "../../storage/tar/entry.ts";
import { formatTime, parseNumber, parseTime } from "../../storage/tar/numbers.ts";
import { formatPax, parsePax } from "../../storage/tar/pax.ts";
import { TarReader } from "../../storage/tar/reader.ts";
import { encodeHeader, endMarker, padding } from "../../storage/tar/writer.ts";
import { directory, encode, file, special, tarOf } from "../storage/tar-builder.ts";

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
    assert.equal(parsed.get("key")?.length, length);
  }
});

test("numbers: octal, padded, base 256 and negative", () => {
  assert.equal(parseNumber(Buffer.from("0000755\0")), 0o755);
  assert.equal(parseNumber(Buffer.from("   755 \0")), 0o755);
  assert.equal(parseNumber(Buffer.from("\0\0\0\0")), 0);
  assert.equal(parseNumber(Buffer.from("8000000000000100", "hex")), 256);
  assert.equal(parseNumber(Buffer.from("ffffffffffffffff", "hex")), -1);
  assert.throws(() => parseNumber(Buffer.from("9")), /invalid tar header/);
  assert.throws(() => parseNumber(Buffer.from("80ffffffffffffffffffffff", "hex")), /invalid tar header/);
});

test("times: any number of decimals, before 1970 too", () => {
  assert.deepEqual(parseTime("12.3"), { seconds: 12, nanoseconds: 300_000_000 });
  assert.deepEqual(parseTime("-1.25"), { seconds: -2, nanoseconds: 750_000_000 });
  assert.deepEqual(parseTime("-1"), { seconds: -1, nanoseconds: 0 });
  assert.deepEqual(parseTime("1.0123456789999"), { seconds: 1, nanoseconds: 12_345_678 });
  for (const text of ["12.3", "-1.25", "-1", "0.000000001"]) assert.equal(formatTime(parseTime(text)), text);
  assert.throws(() => parseTime("1e5"), /invalid tar header/);
});

const extended = (...records: readonly string[]): Buffer =>
  special("x", Buffer.concat(records.map((record) => formatPax(new Map([recordOf(record)])))));
const recordOf = (record: string): [string, Buffer] => {
  const [key = "", value = ""] = record.split("=");
  return [key, Buffer.from(value)];
};
const long = (name: string): Buffer => special("L", Buffer.from(`${name}\0`));
const end = Buffer.alloc(1024);
const plain = tarOf(file("plain"));

/** Where readers of tars disagree, one sees other files than the next. This one sees what Go's does, and so what dockerd does. */
const ambiguous: readonly (readonly [string, Buffer, string])[] = [
  [
    "an extended header replaces the one before it",
    Buffer.concat([extended("path=one", "uid=5"), extended("path=two"), plain]),
    "two 0",
  ],
  ["GNU's long name goes before the pax path", Buffer.concat([extended("path=pax"), long("gnu"), plain]), "gnu 0"],
  ["in either order", Buffer.concat([long("gnu"), extended("path=pax"), plain]), "gnu 0"],
  ["the later of two long names", Buffer.concat([long("one"), long("two"), plain]), "two 0"],
  ["an empty record says nothing", Buffer.concat([extended("path=", "uid=7"), plain]), "plain 7"],
  ["a global header is for nobody", Buffer.concat([special("g", Buffer.from("10 uid=77\n")), plain]), "plain 0"],
  [
    "the size of the extended header counts",
    Buffer.concat([extended("size=3"), encode({ ...file("s", "abc"), size: 0 }), plain]),
    "s 0 abc,plain 0",
  ],
  [
    "a directory has no bytes, whatever it says",
    Buffer.concat([extended("size=3"), encode(directory("d/")), plain]),
    "d/ 0,plain 0",
  ],
  [
    "a sparse version that nobody knows is no sparse file",
    Buffer.concat([extended("GNU.sparse.major=1", "GNU.sparse.minor=1", "GNU.sparse.name=real"), plain]),
    "plain 0",
  ],
  ["a name ends at its NUL", tarOf(file("a\0b")), "a 0"],
  [
    "a file with a slash is a directory only without a type",
    Buffer.concat([encode({ ...file("f/", ""), type: "\0" }), tarOf(file("g/"))]),
    "f/ 0,g/ 0",
  ],
  [
    "a prefix in a GNU header, as engines before 1.10 wrote it",
    tarOf({
      ...file("name"),
      patch: (block) => {
        block.write("ustar  \0", 257, "latin1");
        block.write("long/prefix", 345, "latin1");
      },
    }),
    "long/prefix/name 0",
  ],
  ["an extended header at the end", Buffer.concat([encode(file("a")), extended("path=x"), end]), "a 0"],
];

test("tars that can be read in two ways are read as Go reads them", () => {
  for (const [name, tar, expected] of ambiguous) {
    const found = read(tar, 100).map(({ entry, data }) => {
      const text = data.toString() === "x" ? "" : ` ${data}`;
      return `${Buffer.from(entry.name).toString()} ${entry.uid}${text}`.trimEnd();
    });
    assert.equal(found.join(), expected, name);
  }
});
