import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { O_DIRECTORY, O_PATH, RENAME_EXCHANGE, renameat2, setxattr, statx } from "#native";
import { bytesOf, hasCode, openTestStorage, type TestStorage } from "./rig.ts";
import { directory, file, symlink, tarOf } from "./tar-builder.ts";

interface Root extends Disposable {
  readonly fd: number;
  readonly path: string;
}

function openRoot(rig: TestStorage, name = "root"): Root {
  const path = join(rig.folder, name);
  mkdirSync(path);
  const fd = openSync(path, O_PATH | O_DIRECTORY);
  return { fd, path, [Symbol.dispose]: () => closeSync(fd) };
}

const sh = (script: string): string => execFileSync("sh", ["-ec", script], { encoding: "utf8" });
const names = (tar: Buffer): string[] =>
  execFileSync("tar", ["-tPf", "-"], { input: tar, encoding: "utf8" }).trimEnd().split("\n");

test("pack: GNU tar reads it back as it was", async () => {
  await using rig = await openTestStorage();
  using root = openRoot(rig);
  const long = "n".repeat(130);
  sh(
    `cd ${root.path}; mkdir -p d/e; echo hi > d/f; ln d/f d/hard; ln -s ../x d/link; mkfifo d/pipe; mknod d/null c 1 3; chown 3000000:8 d/f; chmod 6711 d/f; echo l > d/${long}; printf u > d/ü; touch -d @-5 d/e`,
  );
  setxattr(
    join(root.path, "d/f"),
    "security.capability",
    Buffer.from("0100000200f0ff00000000000000000000000000", "hex"),
  );
  const tar = await bytesOf(rig.storage.archive.pack(root.fd, "d"));
  mkdirSync(join(rig.folder, "out"));
  execFileSync("tar", ["--xattrs", "--xattrs-include=*", "-xpf", "-", "-C", join(rig.folder, "out")], { input: tar });
  const list = (path: string): string =>
    sh(
      `cd ${path}; find . -mindepth 1 -printf '%P %y %m %U %G %s %n %l %Ts\\n' | grep -v ' d ' | sort; stat -c %Y d/e; getfattr -d -m- -e hex d/f`,
    );
  assert.equal(list(join(rig.folder, "out")), list(root.path));
});

test("pack: the top entry is called what the caller wants", async () => {
  await using rig = await openTestStorage();
  using root = openRoot(rig);
  sh(`cd ${root.path}; mkdir -p dir dir2; touch dir/a dir2/b`);
  const packed = async (path: string, name?: string): Promise<string[]> =>
    names(await bytesOf(rig.storage.archive.pack(root.fd, path, name === undefined ? {} : { name })));
  assert.deepEqual(await packed("dir"), ["dir/", "dir/a"]);
  assert.deepEqual(await packed("dir", "other"), ["other/", "other/a"]);
  assert.deepEqual(await packed("dir", ""), ["a"]);
  assert.deepEqual(await packed("dir", "."), ["./", "./a"]);
  assert.deepEqual(await packed("/", "/"), ["/", "/dir/", "/dir/a", "/dir2/", "/dir2/b"]);
  assert.deepEqual(await packed("dir/a"), ["a"]);
});

test("pack: a missing path is ENOENT, a link out of the root stays inside, a link at the end is packed", async () => {
  await using rig = await openTestStorage();
  using root = openRoot(rig);
  sh(`cd ${root.path}; ln -s /etc out; ln -s ../../../../../../etc up`);
  const { archive } = rig.storage;
  await assert.rejects(bytesOf(archive.pack(root.fd, "nope")), hasCode("ENOENT"));
  await assert.rejects(bytesOf(archive.pack(root.fd, "out/passwd")), hasCode("ENOENT"));
  await assert.rejects(bytesOf(archive.pack(root.fd, "up/passwd")), hasCode("ENOENT"));
  assert.deepEqual(names(await bytesOf(archive.pack(root.fd, "out"))), ["out"]);
});

test("pack: who stops reading stops the work", async () => {
  await using rig = await openTestStorage();
  using root = openRoot(rig);
  sh(`cd ${root.path}; truncate -s 10G huge`);
  const stream = rig.storage.archive.pack(root.fd, "huge");
  for await (const _chunk of stream) break;
  assert.ok(stream.destroyed);
});

test("unpack: merges into what is there, plain or gzip", async () => {
  await using rig = await openTestStorage();
  using root = openRoot(rig);
  sh(`cd ${root.path}; mkdir d; echo keep > d/keep`);
  const { archive } = rig.storage;
  await archive.unpack(root.fd, "/", Readable.from([tarOf(directory("d/"), file("d/new", "1"))]));
  await archive.unpack(root.fd, "d", Readable.from([gzipSync(tarOf(file("zipped", "2")))]), {
    owner: { uid: 12, gid: 13 },
  });
  assert.deepEqual(readdirSync(join(root.path, "d")).sort(), ["keep", "new", "zipped"]);
  assert.deepEqual([statx(root.fd, "d/zipped").uid, statx(root.fd, "d/zipped").gid], [12, 13]);
});

test("unpack: links in the target stay inside", async () => {
  await using rig = await openTestStorage();
  using root = openRoot(rig);
  const host = join(rig.folder, "host");
  sh(`mkdir ${host}; cd ${root.path}; mkdir -p ./${host}; ln -s ${host} out`);
  await rig.storage.archive.unpack(root.fd, "out", Readable.from([tarOf(file("x", "1"))]));
  assert.deepEqual(readdirSync(host), []);
  assert.equal(readFileSync(join(root.path, host, "x"), "utf8"), "1");
});

test("unpack: noOverwriteDirNonDir names the entry", async () => {
  await using rig = await openTestStorage();
  using root = openRoot(rig);
  sh(`cd ${root.path}; mkdir d; touch f`);
  const unpack = (tar: Buffer): Promise<void> =>
    rig.storage.archive.unpack(root.fd, "/", Readable.from([tar]), { noOverwriteDirNonDir: true });
  await assert.rejects(unpack(tarOf(file("d"))), { code: "EISDIR", path: "d" });
  await assert.rejects(unpack(tarOf(directory("f/"))), { code: "ENOTDIR", path: "f/" });
  await unpack(tarOf(symlink("f", "d"), directory("d/")));
});

test("unpack: a broken source is its own error, a missing directory ENOENT, an abort an abort", async () => {
  await using rig = await openTestStorage();
  using root = openRoot(rig);
  const { archive } = rig.storage;
  const broken = new PassThrough();
  broken.destroy(new Error("hung up"));
  await assert.rejects(archive.unpack(root.fd, "/", broken), /hung up/);
  await assert.rejects(
    archive.unpack(root.fd, "nope", Readable.from([tarOf(file("f", Buffer.alloc(3 << 20)))])),
    hasCode("ENOENT"),
  );
  await assert.rejects(archive.unpack(root.fd, "/", Readable.from([Buffer.alloc(2048, "x")])), hasCode("EBADTAR"));
  const controller = new AbortController();
  const stuck = new PassThrough();
  const waiting = archive.unpack(root.fd, "/", stuck, { signal: controller.signal });
  stuck.write(tarOf(file("f")).subarray(0, 600));
  controller.abort();
  await assert.rejects(waiting, { name: "AbortError" });
});

test("pack and unpack: where no thread can be started they fail, and keep no descriptor", async () => {
  await using rig = await openTestStorage();
  using root = openRoot(rig);
  writeFileSync(join(root.path, "big"), Buffer.alloc(3 << 20));
  const { archive } = rig.storage;
  const limit = (soft: string) => sh(`prlimit --pid ${process.pid} --nofile=${soft}:`);
  const open = () => readdirSync("/proc/self/fd").length;
  const before = open();
  const [, soft = ""] = /Max open files +(\d+)/.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  const taken: number[] = [];
  limit(String(before + 64));
  try {
    for (;;) taken.push(openSync("/dev/null", "r"));
  } catch {
    for (const fd of taken.splice(0, 3)) closeSync(fd);
  }
  const failures = await Promise.allSettled([
    archive.pack(root.fd, "big").toArray(),
    archive.unpack(root.fd, "/", Readable.from([tarOf(file("f", Buffer.alloc(3 << 20)))])),
  ]);
  for (const fd of taken) closeSync(fd);
  limit(soft);
  assert.deepEqual(
    failures.map(({ status }) => status),
    ["rejected", "rejected"],
  );
  assert.equal(open(), before);
});

test("populate: owners, times to the nanosecond, xattrs and hard links arrive", async () => {
  await using rig = await openTestStorage();
  using from = openRoot(rig, "from");
  using to = openRoot(rig, "to");
  sh(
    `cd ${from.path}; echo a > a; ln a b; chown 5:6 a; touch -d @1000.123456789 a; setfattr -n user.k -v v a; chmod 701 .`,
  );
  await rig.storage.archive.populate(to.fd, from.fd);
  const list = (path: string): string =>
    sh(`cd ${path}; find . -mindepth 1 -printf '%P %y %m %U %G %s %n %T@\\n' | sort; getfattr -d a`);
  assert.equal(list(to.path), list(from.path));
  assert.equal(statSync(to.path).mode & 0o777, 0o701);
});

test("a symlink that swaps with a directory never lets bytes out", async () => {
  await using rig = await openTestStorage();
  using root = openRoot(rig);
  const host = join(rig.folder, "host");
  mkdirSync(host);
  writeFileSync(join(host, "secret"), "HOSTBYTES");
  sh(`cd ${root.path}; mkdir a; echo mine > a/secret; ln -s ${host} b`);
  const timer = setInterval(() => renameat2(root.fd, "a", root.fd, "b", RENAME_EXCHANGE), 0);
  try {
    for (let round = 0; round < 150; round++) {
      const tar = await bytesOf(rig.storage.archive.pack(root.fd, "a")).catch(() => Buffer.alloc(0));
      assert.ok(!tar.includes("HOSTBYTES"));
      await rig.storage.archive.unpack(root.fd, "a", Readable.from([tarOf(file("evil", "1"))])).catch(() => undefined);
      assert.deepEqual(readdirSync(host), ["secret"]);
    }
  } finally {
    clearInterval(timer);
  }
  assert.equal(readFileSync(join(host, "secret"), "utf8"), "HOSTBYTES");
});
