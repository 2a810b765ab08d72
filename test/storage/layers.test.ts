import assert from "node:assert/strict";
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { fdPath, getxattr, lgetxattr, statx } from "#native";
import { chainIdOf } from "#storage";
import { bytesOf, digestOf, hasCode, openTestStorage } from "./rig.ts";
import { directory, file, link, type Member, symlink, tarOf } from "./tar-builder.ts";

const at = (root: string, name: string) => statx(-100, join(root, name));

test("apply: files, directories, links and devices arrive with owner, mode and time", async () => {
  await using rig = await openTestStorage();
  const tar = tarOf(
    { ...directory("bin/"), mode: 0o1777, mtime: 1_111_111_111 },
    { ...file("bin/su", "setuid"), mode: 0o4755, uid: 7, gid: 8 },
    // As in moby, a hard link's attributes are those of its inode from then on.
    { ...link("bin/su2", "bin/su"), mode: 0o4711, uid: 9, gid: 10 },
    symlink("bin/sh", "../bin/su"),
    { name: "null", type: "3", mode: 0o666, major: 1, minor: 3 },
    { name: "loop", type: "4", mode: 0o660, major: 7, minor: 300 },
    { name: "pipe", type: "6", mode: 0o600 },
  );
  const layer = await rig.unpack(tar);
  const root = rig.layerRoot(layer);
  const su = at(root, "bin/su");
  assert.deepEqual([su.mode & 0o7777, su.uid, su.gid, su.nlink], [0o4711, 9, 10, 2]);
  assert.deepEqual(at(root, "bin").mtime, { seconds: 1_111_111_111, nanoseconds: 0 });
  assert.equal(at(root, "bin").mode & 0o7777, 0o1777);
  assert.equal(readlinkSync(join(root, "bin/sh")), "../bin/su");
  assert.deepEqual([at(root, "null").rdevMajor, at(root, "null").rdevMinor], [1, 3]);
  assert.deepEqual([at(root, "loop").rdevMajor, at(root, "loop").rdevMinor], [7, 300]);
  assert.ok(lstatSync(join(root, "pipe")).isFIFO());
  assert.equal(layer.sizeBytes, "setuid".length + "../bin/su".length);
  assert.equal(layer.diffId, digestOf(tar));
});

test("apply: pax gives nanoseconds, large owners, long names, binary xattrs and capabilities", async () => {
  await using rig = await openTestStorage();
  const long = `${"d".repeat(120)}/${"f".repeat(200)}`;
  const capability = Buffer.from("0100000200f0ff00000000000000000000000000", "hex");
  const pax = {
    path: long,
    mtime: "1234567890.123456789",
    uid: "3000000000",
    gid: "70000",
    "SCHILY.xattr.security.capability": capability,
    "SCHILY.xattr.user.blob": Buffer.from([0xff, 0x00, 0x0a, 0x80]),
    "SCHILY.xattr.user.empty": "",
    "SCHILY.xattr.trusted.mark": "1",
  };
  const root = rig.layerRoot(await rig.unpack(tarOf({ ...file("short"), pax })));
  const found = at(root, long);
  assert.deepEqual(found.mtime, { seconds: 1_234_567_890, nanoseconds: 123_456_789 });
  assert.deepEqual([found.uid, found.gid], [3_000_000_000, 70_000]);
  assert.deepEqual(lgetxattr(join(root, long), "security.capability"), capability);
  assert.deepEqual(lgetxattr(join(root, long), "user.blob"), Buffer.from([0xff, 0x00, 0x0a, 0x80]));
  assert.equal(lgetxattr(join(root, long), "user.empty")?.length, 0);
  assert.equal(lgetxattr(join(root, long), "trusted.mark")?.toString(), "1");
});

test("apply: GNU long names and names that are not UTF-8 are kept byte for byte", async () => {
  await using rig = await openTestStorage();
  const odd = Buffer.from([0x66, 0xff, 0xfe]);
  const tar = tarOf({ ...file(`g/${"n".repeat(180)}`), isGnu: true }, { name: odd, content: "odd" });
  const root = rig.layerRoot(await rig.unpack(tar));
  assert.deepEqual(readdirSync(join(root, "g")), ["n".repeat(180)]);
  assert.ok(readdirSync(root, { encoding: "buffer" }).some((name) => name.equals(odd)));
});

test("apply: whiteouts become what overlayfs understands", async () => {
  await using rig = await openTestStorage();
  const tar = tarOf(
    directory("a/"),
    file("a/.wh.gone", ""),
    directory("o/"),
    file("o/.wh..wh..opq", ""),
    file("o/new"),
    file(".wh..wh.plnk/1", "linked"),
    link("from-aufs", ".wh..wh.plnk/1"),
    directory("both/"),
    file(".wh.both", ""),
  );
  const root = rig.layerRoot(await rig.unpack(tar));
  const gone = at(root, "a/gone");
  assert.deepEqual([gone.mode & 0o170000, gone.rdevMajor, gone.rdevMinor], [0o020000, 0, 0]);
  assert.equal(lgetxattr(join(root, "o"), "trusted.overlay.opaque")?.toString(), "y");
  assert.equal(lgetxattr(join(root, "both"), "trusted.overlay.opaque")?.toString(), "y");
  assert.deepEqual(readdirSync(root).sort(), [".wh..wh.plnk", "a", "both", "from-aufs", "o"]);
});

test("apply: sparse files of GNU tar's four formats have their holes and their bytes", async () => {
  await using rig = await openTestStorage();
  const data = Buffer.alloc(512, "z");
  const map = Buffer.alloc(512);
  map.write("1\n4096\n512\n");
  const old: Member = {
    name: "old",
    type: "S",
    content: data,
    patch: (block) => {
      block.write("ustar  \0", 257, "latin1");
      block.fill(0, 345);
      block.write("00000010000", 386, "latin1");
      block.write("00000001000", 398, "latin1");
      block.write("00000020000", 483, "latin1");
    },
  };
  const tar = tarOf(
    {
      ...file("x", data),
      pax: {
        "GNU.sparse.size": "8192",
        "GNU.sparse.numblocks": "1",
        "GNU.sparse.offset": "4096",
        "GNU.sparse.numbytes": "512",
        path: "v00",
      },
    },
    { ...file("x", data), pax: { "GNU.sparse.size": "8192", "GNU.sparse.name": "v01", "GNU.sparse.map": "4096,512" } },
    {
      ...file("x", Buffer.concat([map, data])),
      pax: {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "v10",
        "GNU.sparse.realsize": "8192",
      },
    },
    old,
  );
  const root = rig.layerRoot(await rig.unpack(tar));
  const expected = Buffer.concat([Buffer.alloc(4096), data, Buffer.alloc(3584)]);
  for (const name of ["v00", "v01", "v10", "old"]) assert.deepEqual(readFileSync(join(root, name)), expected, name);
});

const skippable = Buffer.from("5f2a4d1804000000abcdabcd", "hex");

test("apply: gzip, several gzip members, zstd and plain tars give the same layer, and tar() the same bytes", async () => {
  await using rig = await openTestStorage();
  const tar = tarOf(directory("d/"), file("d/f", Buffer.alloc(300_000, "a")));
  const half = Math.floor(tar.length / 2);
  const forms = [
    tar,
    gzipSync(tar),
    zstdCompressSync(tar),
    Buffer.concat([gzipSync(tar.subarray(0, half)), gzipSync(tar.subarray(half))]),
    Buffer.concat([zstdCompressSync(tar.subarray(0, half)), zstdCompressSync(tar.subarray(half))]),
    // Between skippable frames, as pzstd and zstd:chunked write them.
    Buffer.concat([
      skippable,
      zstdCompressSync(tar.subarray(0, half)),
      skippable,
      zstdCompressSync(tar.subarray(half)),
    ]),
    Buffer.concat([zstdCompressSync(tar), skippable]),
  ];
  for (const form of forms) {
    const layer = await rig.unpack(form);
    assert.equal(layer.diffId, digestOf(tar));
    assert.deepEqual(await bytesOf(rig.storage.layers.tar(layer.chainId)), tar);
    assert.deepEqual(rig.storage.layers.release(layer.chainId), [layer.chainId]);
  }
});

test("apply: a stream is ingested first, and its blob is known by the layer", async () => {
  await using rig = await openTestStorage();
  const bytes = gzipSync(tarOf(file("f")));
  const layer = await rig.storage.layers.apply({
    parent: undefined,
    blob: Readable.from([bytes]),
    mediaType: "application/x",
  });
  assert.deepEqual(rig.storage.layers.blob(layer.chainId), {
    digest: digestOf(bytes),
    sizeBytes: bytes.length,
    mediaType: "application/x",
  });
});

test("apply: a wrong diffID is EDIGEST and leaves nothing behind", async () => {
  await using rig = await openTestStorage();
  const { digest } = await rig.storage.content.ingest(tarOf(file("f")));
  const diffId = digestOf(Buffer.from("other"));
  await assert.rejects(rig.storage.layers.apply({ parent: undefined, diffId, blob: digest }), hasCode("EDIGEST"));
  assert.deepEqual(rig.storage.layers.list(), []);
  await rig.storage[Symbol.asyncDispose]();
  assert.deepEqual(readdirSync(join(rig.dataRoot, "snapshots")), ["empty"]);
});

test("apply: the same layer asked for ten times at once is unpacked once", async () => {
  await using rig = await openTestStorage();
  const tar = tarOf(file("f", Buffer.alloc(2_000_000)));
  const { digest } = await rig.storage.content.ingest(tar);
  const options = { parent: undefined, diffId: digestOf(tar), blob: digest };
  const layers = await Promise.all(Array.from({ length: 10 }, () => rig.storage.layers.apply(options)));
  assert.deepEqual(new Set(layers.map((layer) => layer.snapshotNumber)).size, 1);
  const removed = layers.flatMap((layer) => rig.storage.layers.release(layer.chainId));
  assert.deepEqual(removed, [layers[0]?.chainId]);
});

test("apply: one of two who wait gives up, the other gets the layer; when all give up it is cancelled", async () => {
  await using rig = await openTestStorage();
  const tar = tarOf(file("f", Buffer.alloc(8_000_000)));
  const { digest } = await rig.storage.content.ingest(tar);
  const options = { parent: undefined, diffId: digestOf(tar), blob: digest };
  const first = new AbortController();
  const given = rig.storage.layers.apply({ ...options, signal: first.signal });
  const kept = rig.storage.layers.apply(options);
  first.abort();
  await assert.rejects(given, { name: "AbortError" });
  const layer = await kept;
  rig.storage.layers.release(layer.chainId);
  const { digest: again } = await rig.storage.content.ingest(tar);
  const all = new AbortController();
  const cancelled = rig.storage.layers.apply({ ...options, blob: again, signal: all.signal });
  all.abort();
  await assert.rejects(cancelled, { name: "AbortError" });
});

test("apply: layers unpack side by side and are recorded in order", async () => {
  await using rig = await openTestStorage();
  const { content, layers } = rig.storage;
  const tars = ["one", "two", "three"].map((name) => tarOf(file(name, Buffer.alloc(500_000, name))));
  let parent: ReturnType<typeof chainIdOf> | undefined;
  let after: Promise<unknown> = Promise.resolve();
  const applied = [];
  for (const tar of tars) {
    const { digest } = await content.ingest(tar);
    const work = layers.apply({ parent, diffId: digestOf(tar), blob: digest, after });
    applied.push(work);
    after = work;
    parent = chainIdOf(parent, digestOf(tar));
  }
  const done = await Promise.all(applied);
  const top = done.at(-1);
  assert.ok(top !== undefined);
  assert.deepEqual(
    layers.stack(top.chainId).map((layer) => layer.chainId),
    done.map((l) => l.chainId).reverse(),
  );
  for (const layer of done.slice(0, -1)) assert.deepEqual(layers.release(layer.chainId), []);
  assert.deepEqual(layers.release(top.chainId), done.map((layer) => layer.chainId).reverse());
});

test("apply: a failed parent fails the layers on it", async () => {
  await using rig = await openTestStorage();
  const { digest } = await rig.storage.content.ingest(tarOf(file("f")));
  const after = Promise.reject(new Error("no parent"));
  const parent = chainIdOf(undefined, digestOf(Buffer.from("p")));
  await assert.rejects(rig.storage.layers.apply({ parent, blob: digest, after }), /no parent/);
});

test("apply: in one layer the later entry wins, whatever it replaces", async () => {
  await using rig = await openTestStorage();
  const tar = tarOf(
    file("a", "old"),
    directory("a/"),
    file("a/x", "in"),
    file("a/x", "new"),
    directory("b/"),
    file("b/deep/er"),
    file("b", "file"),
    symlink("c", "a"),
    directory("c/"),
  );
  const layer = await rig.unpack(tar);
  const root = rig.layerRoot(layer);
  assert.equal(readFileSync(join(root, "a/x"), "utf8"), "new");
  assert.equal(readFileSync(join(root, "b"), "utf8"), "file");
  assert.ok(lstatSync(join(root, "c")).isDirectory());
  assert.equal(layer.sizeBytes, 7);
});

test("the store is closed to other users of the host", async () => {
  await using rig = await openTestStorage();
  const layer = await rig.unpack(tarOf(file("f")));
  assert.equal(statSync(rig.dataRoot).mode & 0o777, 0o710);
  for (const name of ["content", "snapshots", "tmp"]) assert.equal(statSync(join(rig.dataRoot, name)).mode & 0o77, 0);
  assert.equal(statSync(rig.layerRoot(layer)).mode & 0o777, 0o755);
  assert.equal(getxattr(fdPath(0), "user.none"), undefined);
});
