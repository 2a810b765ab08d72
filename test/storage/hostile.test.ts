import assert from "node:assert/strict";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { constants, createGzip, gzipSync } from "node:zlib";
import { lgetxattr } from "#native";
import { bytesOf, openTestStorage, type TestStorage } from "./rig.ts";
import { directory, encode, file, link, type Member, special, symlink, tarOf } from "./tar-builder.ts";

interface Case {
  readonly name: string;
  readonly tar: Buffer;
  /** The error's code; absent: it unpacks. */
  readonly code?: string;
  readonly check?: (root: string) => void;
}

const up = "../../../../../../../..";
const good = file("good");
const isThere = (name: string) => (root: string) => assert.ok(existsSync(join(root, name)), `${name} is in the layer`);
const patched = (patch: (block: Buffer) => void, hasBadSum = false): Member => ({ ...file("p"), patch, hasBadSum });
const write = (at: number, bytes: string) => (block: Buffer) => void block.write(bytes, at, "latin1");
const pax = (records: Record<string, string | Buffer>, member: Member = file("p")): Buffer =>
  tarOf({ ...member, pax: records }, good);

/** `host` is a folder outside that no case may change; its path is put in by `casesFor`. */
const casesFor = (host: string): readonly Case[] => [
  { name: "a name that climbs", tar: tarOf(file(`${up}${host}/evil`)), code: "EBREAKOUT" },
  { name: "an absolute name", tar: tarOf(file(`${host}/evil`)), check: isThere(`${host}/evil`) },
  {
    name: "a name that climbs in its middle",
    tar: tarOf(file(`a/../../..${host}/evil`)),
    code: "EBREAKOUT",
  },
  { name: "a name of dots and slashes only", tar: tarOf(directory("./..//./../")), code: "EBREAKOUT" },
  {
    name: "a file in the root's place, or without a name",
    tar: tarOf(file("./a/.."), symlink(".", host), file(""), good),
    check: (root) => assert.deepEqual(readdirSync(root), ["good"]),
  },
  {
    name: "a symlink to the host, then a file through it",
    tar: tarOf(symlink("l", host), file("l/evil")),
    check: isThere(`${host}/evil`),
  },
  {
    name: "a symlink that climbs, then a file through it",
    tar: tarOf(symlink("l", `${up}${host}`), file("l/evil")),
    check: isThere(`${host}/evil`),
  },
  {
    name: "a symlink to the host, the same path made inside, then a file through it",
    tar: tarOf(directory(`${host}/`), symlink("l", host), file("l/evil")),
    check: isThere(`${host}/evil`),
  },
  {
    name: "a chain of symlinks",
    tar: tarOf(symlink("a", "b"), symlink("b", `${up}`), symlink("c", "a/b"), file("c/tmp/x")),
    check: () => undefined,
  },
  {
    name: "a file that replaces a symlink to the host",
    tar: tarOf(symlink("f", `${host}/secret`), file("f", "mine")),
    check: (root) => assert.equal(readFileSync(join(root, "f"), "utf8"), "mine"),
  },
  {
    name: "a directory that replaces a symlink to the host",
    tar: tarOf(symlink("d", host), directory("d/"), file("d/evil")),
    check: isThere("d/evil"),
  },
  {
    name: "a loop of symlinks as parent",
    tar: tarOf(symlink("a", "b"), symlink("b", "a"), file("a/x")),
    code: "ELOOP",
  },
  { name: "a symlink to itself", tar: tarOf(symlink("s", "s"), file("s/x")), code: "ELOOP" },
  {
    name: "magic links",
    tar: tarOf(symlink("p", "/proc/self/root"), file("p/evil")),
    check: isThere("proc/self/root/evil"),
  },
  { name: "a hard link to the host", tar: tarOf(link("h", `${host}/secret`)), code: "ENOENT" },
  { name: "a hard link that climbs", tar: tarOf(link("h", `${up}${host}/secret`)), code: "EBREAKOUT" },
  {
    name: "a hard link to a symlink to the host is a second symlink",
    tar: tarOf(symlink("s", `${host}/secret`), link("h", "s"), { ...file("h", "overwrite") }),
    check: (root) => assert.equal(readFileSync(join(root, "h"), "utf8"), "overwrite"),
  },
  {
    name: "a hard link through a symlink to the host",
    tar: tarOf(symlink("s", host), link("h", "s/secret")),
    code: "ENOENT",
  },
  { name: "a hard link to the root", tar: tarOf(link("h", "/")), code: "EBREAKOUT" },
  { name: "a hard link to a directory", tar: tarOf(directory("d/"), link("h", "d")), code: "EPERM" },
  { name: "a hard link to itself", tar: tarOf(link("h", "h")), code: "ENOENT" },
  { name: "a file below a file", tar: tarOf(file("f"), file("f/x")), code: "ENOTDIR" },
  { name: "a whiteout that climbs", tar: tarOf(file(`${up}${host}/.wh.secret`, "")), code: "EBREAKOUT" },
  { name: "a whiteout of the parent", tar: tarOf(file("d/.wh...", "")), code: "EINVAL" },
  { name: "a whiteout of the directory itself", tar: tarOf(file("d/.wh..", "")), code: "EINVAL" },
  { name: "a whiteout of nothing", tar: tarOf(file("d/.wh.", "")), code: "EINVAL" },
  {
    name: "a whiteout through a symlink to the host",
    tar: tarOf(symlink("l", host), file("l/.wh.secret", "")),
    check: isThere(`${host}/secret`),
  },
  {
    name: "an opaque marker through a symlink to the host",
    tar: tarOf(symlink("l", host), file("l/.wh..wh..opq", "")),
    check: isThere(host),
  },
  {
    name: "overlay's own attributes",
    tar: pax({
      "SCHILY.xattr.trusted.overlay.redirect": "/etc",
      "SCHILY.xattr.user.overlay.opaque": "y",
    }),
    check: (root) => {
      for (const name of ["trusted.overlay.redirect", "user.overlay.opaque"]) {
        assert.equal(lgetxattr(join(root, "p"), name), undefined);
      }
    },
  },
  {
    name: "a label of the host's security module",
    tar: pax({ "SCHILY.xattr.security.selinux": "x" }),
    check: (root) => assert.equal(lgetxattr(join(root, "p"), "security.selinux"), undefined),
  },
  { name: "a pax path that climbs", tar: pax({ path: `${up}${host}/evil` }), code: "EBREAKOUT" },
  { name: "a pax path with a NUL", tar: pax({ path: "a\0b" }), code: "EBADTAR" },
  {
    name: "a pax record without its length",
    tar: Buffer.concat([special("x", Buffer.from("path=x\n")), tarOf(good)]),
    code: "EBADTAR",
  },
  {
    name: "a pax record longer than its header",
    tar: Buffer.concat([special("x", Buffer.from("99 path=x\n")), tarOf(good)]),
    code: "EBADTAR",
  },
  {
    name: "a pax record without a newline",
    tar: Buffer.concat([special("x", Buffer.from("9 path=xy")), tarOf(good)]),
    code: "EBADTAR",
  },
  { name: "a pax size that is no number", tar: pax({ size: "-5" }), code: "EBADTAR" },
  { name: "a pax size beyond the archive", tar: pax({ size: "999999999999" }), code: "EBADTAR" },
  { name: "a pax uid that is chown's -1", tar: pax({ uid: "4294967295" }), code: "EBADTAR" },
  { name: "a pax uid beyond 32 bits", tar: pax({ uid: "4294967296" }), code: "EBADTAR" },
  {
    name: "an extended header of 2 MiB",
    tar: Buffer.concat([special("x", Buffer.alloc(2 << 20, "a")), tarOf(good)]),
    code: "EBADTAR",
  },
  {
    name: "a long name of 2 MiB",
    tar: Buffer.concat([special("L", Buffer.alloc(2 << 20, "a")), tarOf(good)]),
    code: "EBADTAR",
  },
  { name: "a name part of 300 bytes", tar: pax({ path: "n".repeat(300) }), code: "ENAMETOOLONG" },
  { name: "a path of 8 kB", tar: pax({ path: "n/".repeat(4096) }), code: "ENAMETOOLONG" },
  { name: "2000 nested directories", tar: pax({ path: `${"n/".repeat(2000)}f` }), check: isThere("good") },
  { name: "a wrong checksum", tar: tarOf(patched(write(0, "q"), true)), code: "EBADTAR" },
  { name: "a size that is no octal number", tar: tarOf(patched(write(124, "zzzzzzzzzzz"))), code: "EBADTAR" },
  { name: "a negative size in base 256", tar: tarOf(patched((block) => block.fill(0xff, 124, 136))), code: "EBADTAR" },
  {
    name: "an enormous size in base 256",
    tar: tarOf(patched((block) => block.fill(0xff, 125, 136).fill(0x80, 124, 125))),
    code: "EBADTAR",
  },
  { name: "a type that nobody knows", tar: tarOf({ ...file("f"), type: "Z" }), code: "EBADTAR" },
  { name: "an archive that ends in a header", tar: tarOf(good).subarray(0, 300), code: "EBADTAR" },
  {
    name: "an archive that ends in a file",
    tar: tarOf(file("f", Buffer.alloc(5000))).subarray(0, 2000),
    code: "EBADTAR",
  },
  { name: "an archive without an end marker", tar: encode(good), check: isThere("good") },
  {
    name: "rubbish behind the end marker",
    tar: Buffer.concat([tarOf(good), Buffer.alloc(4096, "r")]),
    check: isThere("good"),
  },
  {
    name: "one zero block, then a header",
    tar: Buffer.concat([encode(good), Buffer.alloc(512), tarOf(file("late"))]),
    code: "EBADTAR",
  },
  { name: "no tar at all", tar: Buffer.alloc(4096, "x"), code: "EBADTAR" },
  { name: "an empty archive", tar: Buffer.alloc(0), check: (root) => assert.deepEqual(readdirSync(root), []) },
  { name: "a gzip that ends too early", tar: gzipSync(tarOf(good)).subarray(0, 60), code: "EBADTAR" },
  {
    name: "a gzip with a flipped byte",
    tar: flipped(gzipSync(tarOf(file("f", Buffer.alloc(9000, "abc"))))),
    code: "Z_DATA_ERROR",
  },
  {
    name: "sparse fragments that overlap",
    tar: pax({ "GNU.sparse.size": "9", "GNU.sparse.map": "0,5,2,5" }, file("p", "0123456789")),
    code: "EBADTAR",
  },
  {
    name: "a sparse fragment behind the end",
    tar: pax({ "GNU.sparse.size": "4", "GNU.sparse.map": "0,5" }, file("p", "01234")),
    code: "EBADTAR",
  },
  {
    name: "a sparse map of less than the data",
    tar: pax({ "GNU.sparse.size": "9", "GNU.sparse.map": "0,5" }, file("p", "0123456789")),
    code: "EBADTAR",
  },
  {
    name: "a sparse file of an exabyte",
    tar: pax({ "GNU.sparse.size": `${2 ** 52}`, "GNU.sparse.map": "0,1" }, file("p", "0")),
    code: "EFBIG",
  },
  {
    name: "a fifo in the way of a file",
    tar: tarOf({ name: "f", type: "6" }, file("f", "mine")),
    check: (root) => assert.ok(lstatSync(join(root, "f")).isFile()),
  },
  {
    name: "a device in the way of a file",
    tar: tarOf({ name: "f", type: "3", major: 1, minor: 5 }, file("f", "mine")),
    check: (root) => assert.equal(readFileSync(join(root, "f"), "utf8"), "mine"),
  },
  {
    name: "a thousand entries of one name",
    tar: tarOf(...Array.from({ length: 1000 }, (_, i) => file("same", `${i}`))),
    check: (root) => assert.equal(readFileSync(join(root, "same"), "utf8"), "999"),
  },
  {
    name: "a directory and a file by turns",
    tar: tarOf(...Array.from({ length: 50 }, () => [directory("t/"), file("t/x"), file("t")]).flat()),
    check: (root) => assert.ok(lstatSync(join(root, "t")).isFile()),
  },
  { name: "a time beyond all numbers", tar: pax({ mtime: "99999999999999999999999" }), code: "EBADTAR" },
  {
    name: "times that no clock has",
    tar: Buffer.concat([encode({ ...file("p"), pax: { mtime: "-1.5" } }), pax({ mtime: "9999999999999999" })]),
    check: (root) => assert.equal(statSync(join(root, "p")).mtimeMs, 0),
  },
  {
    name: "an attribute larger than the kernel takes",
    tar: pax({ "SCHILY.xattr.user.x": Buffer.alloc(70_000) }),
    code: "E2BIG",
  },
  {
    name: "a sparse map of a mebibyte",
    tar: pax(
      { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" },
      file("p", Buffer.from(`600000\n${"0\n".repeat(600_000)}`)),
    ),
    code: "EBADTAR",
  },
  {
    name: "a sparse map that is one endless number",
    tar: pax(
      { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" },
      file("p", Buffer.alloc(100_000, "1")),
    ),
    code: "EBADTAR",
  },
  {
    name: "a sparse map of more than the data",
    tar: pax({ "GNU.sparse.size": "90", "GNU.sparse.map": "0,50" }, file("p", "0123456789")),
    code: "EBADTAR",
  },
  {
    name: "a sparse directory",
    tar: pax({ "GNU.sparse.size": "9", "GNU.sparse.map": "0,0" }, directory("p")),
    code: "EBADTAR",
  },
  {
    name: "a global header that is none",
    tar: Buffer.concat([special("g", Buffer.from("x")), tarOf(good)]),
    code: "EBADTAR",
  },
  {
    name: "a setuid bit on the root",
    tar: tarOf({ ...directory("./"), mode: 0o4777, uid: 5 }, good),
    check: (root) => assert.equal(statSync(root).mode & 0o7777, 0o755),
  },
];

function flipped(bytes: Buffer): Buffer {
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 0xff;
  return bytes;
}

describe("layers from strangers", () => {
  let rig: TestStorage;
  let host: string;
  before(async () => {
    rig = await openTestStorage();
    host = join(rig.folder, "host");
    mkdirSync(host, { mode: 0o755 });
    writeFileSync(join(host, "secret"), "secret", { mode: 0o600 });
  });
  after(() => rig[Symbol.asyncDispose]());

  const untouched = (): void => {
    assert.deepEqual(readdirSync(host), ["secret"]);
    assert.equal(readFileSync(join(host, "secret"), "utf8"), "secret");
    assert.deepEqual([statSync(host).mode & 0o7777, statSync(join(host, "secret")).mode & 0o7777], [0o755, 0o600]);
    assert.equal(statSync(join(host, "secret")).nlink, 1);
    assert.equal(lgetxattr(host, "trusted.overlay.opaque"), undefined);
  };

  test("every one of them stays inside, or fails and leaves nothing", async (context) => {
    for (const { name, tar, code, check } of casesFor(host)) {
      await context.test(name, async () => {
        const blob = await rig.storage.content.ingest(tar);
        const outcome = await rig.storage.layers
          .apply({ parent: undefined, blob: blob.digest })
          .catch((e: unknown) => (e instanceof Error ? e : new Error(String(e))));
        untouched();
        if (outcome instanceof Error) {
          assert.equal("code" in outcome ? outcome.code : undefined, code, outcome.message);
          assert.deepEqual(rig.storage.layers.list(), []);
          return;
        }
        using _ = { [Symbol.dispose]: () => void rig.storage.layers.release(outcome.chainId) };
        assert.equal(code, undefined, "it should have failed");
        check?.(rig.layerRoot(outcome));
      });
    }
  });

  test("a bomb of zeros ends at its budget", async () => {
    const bomb = await bytesOf(zeros(1200).pipe(createGzip({ level: constants.Z_BEST_COMPRESSION })));
    const blob = await rig.storage.content.ingest(bomb);
    const apply = rig.storage.layers.apply({ parent: undefined, blob: blob.digest });
    await assert.rejects(apply, { code: "ELIMIT" });
    assert.deepEqual(rig.storage.layers.list(), []);
  });
});

/** A tar with one file of so many MiB. */
function zeros(mebibytes: number): Readable {
  const chunk = Buffer.alloc(1 << 20);
  function* chunks(): Generator<Buffer, void> {
    yield encode({ name: "zeros", size: mebibytes << 20 });
    for (let count = 0; count < mebibytes; count++) yield chunk;
  }
  return Readable.from(chunks());
}
