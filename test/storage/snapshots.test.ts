import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { newId } from "#base/ids";
import { FS_TOPDIR_FL, getInodeFlags, O_DIRECTORY, O_RDONLY } from "#native";
import { chainIdOf } from "#storage";
import { bytesOf, digestOf, openTestStorage, type TestStorage } from "./rig.ts";
import { directory, file, symlink, tarOf } from "./tar-builder.ts";

const base = tarOf(
  directory("etc/"),
  file("etc/passwd", "root"),
  file("etc/old", "old"),
  directory("opt/"),
  directory("opt/sub/"),
  file("opt/sub/x"),
  file("opt/sub/y"),
  directory("var/"),
  file("var/f", "f"),
);

async function withContainer(rig: TestStorage, tar = base): Promise<ReturnType<typeof newId>> {
  const layer = await rig.unpack(tar);
  const id = newId();
  await rig.storage.snapshots.prepare(id, layer.chainId);
  rig.storage.layers.release(layer.chainId);
  return id;
}

/** Runs a shell below the root; `/proc/self` would be the shell's own. */
const shell = (rootFd: number, script: string): string =>
  execFileSync("sh", ["-ec", `cd /proc/${process.pid}/fd/${rootFd}; ${script}`], { encoding: "utf8" });

test("store: snapshots are scattered over the disk, each in a block group of its own", async (t) => {
  await using rig = await openTestStorage();
  const ext4 = 0xef53;
  if (statfsSync(rig.dataRoot).type !== ext4) return t.skip("no ext4 here");
  const fd = openSync(join(rig.dataRoot, "snapshots"), O_RDONLY | O_DIRECTORY);
  assert.equal(getInodeFlags(fd) & FS_TOPDIR_FL, FS_TOPDIR_FL);
  closeSync(fd);
});

test("changes: what docker diff shows, and diffTar holds exactly that", async () => {
  await using rig = await openTestStorage();
  const id = await withContainer(rig);
  {
    await using root = await rig.storage.snapshots.mount(id);
    shell(
      root.rootFd,
      "echo more >> etc/passwd; rm etc/old; rm -r opt/sub; mkdir opt/sub; echo z > opt/sub/x; mkdir -p new/d; touch new/d/f; chmod 700 var; mv var/f var/g; touch -r var/g var/g",
    );
  }
  const changes = await rig.storage.snapshots.changes(id);
  assert.deepEqual(
    changes.map(({ kind, path }) => `${"CAD"[kind]} ${path}`),
    [
      "C /etc",
      "D /etc/old",
      "C /etc/passwd",
      "A /new",
      "A /new/d",
      "A /new/d/f",
      "C /opt",
      "C /opt/sub",
      "C /opt/sub/x",
      "D /opt/sub/y",
      "C /var",
      "D /var/f",
      "A /var/g",
    ],
  );
  const again = await rig.unpack(await bytesOf(rig.storage.snapshots.diffTar(id)));
  const root = rig.layerRoot(again);
  const upper = rig.storage.snapshots.metadata(id).UpperDir;
  const listing = (path: string): string =>
    execFileSync(
      "sh",
      [
        "-ec",
        `cd ${path}; find . ! -path . -printf '%P %y %m %U %s\\n' | sed 's/ d \\(.*\\) [0-9]*$/ d \\1/' | sort; getfattr -R -d -m trusted.overlay.opaque --absolute-names . 2>/dev/null || true`,
      ],
      { encoding: "utf8" },
    );
  assert.equal(listing(root), listing(upper));
});

test("changes: without a parent everything is added", async () => {
  await using rig = await openTestStorage();
  const id = newId();
  await rig.storage.snapshots.prepare(id, undefined);
  {
    await using root = await rig.storage.snapshots.mount(id);
    shell(root.rootFd, "mkdir a; touch a/b");
  }
  assert.deepEqual(await rig.storage.snapshots.changes(id), [
    { path: "/a", kind: 1 },
    { path: "/a/b", kind: 1 },
  ]);
});

test("usage: bytes of the writable layer, each inode once", async () => {
  await using rig = await openTestStorage();
  const id = await withContainer(rig);
  await using root = await rig.storage.snapshots.mount(id);
  shell(root.rootFd, "head -c 1000 /dev/zero > a; ln a b; ln -s 12345 c");
  assert.equal(await rig.storage.snapshots.usage(id), 1005);
});

test("mount: a read-only one shows the writable layer and takes no writes", async () => {
  await using rig = await openTestStorage();
  const id = await withContainer(rig);
  writeFileSync(join(rig.storage.snapshots.metadata(id).UpperDir, "mine"), "mine");
  await using root = await rig.storage.snapshots.mount(id, { isReadOnly: true });
  assert.equal(shell(root.rootFd, "cat mine etc/passwd"), "mineroot");
  assert.throws(() => shell(root.rootFd, "touch x 2>/dev/null"));
  assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(rig.dataRoot));
});

test("mount: 127 layers are no more than one mount takes, and show the topmost file", async () => {
  await using rig = await openTestStorage();
  const { content, layers, snapshots } = rig.storage;
  let parent: ReturnType<typeof chainIdOf> | undefined;
  for (let index = 0; index < 127; index++) {
    const tar = tarOf(file("top", `${index}`));
    const { digest } = await content.ingest(tar);
    const layer = await layers.apply({ parent, blob: digest });
    parent = layer.chainId;
  }
  const id = newId();
  await snapshots.prepare(id, parent);
  await using root = await snapshots.mount(id);
  assert.equal(shell(root.rootFd, "cat top"), "126");
});

test("remove: the snapshot goes, and with it the layers that only it kept", async () => {
  await using rig = await openTestStorage();
  const { layers, snapshots } = rig.storage;
  const id = await withContainer(rig);
  assert.equal(layers.list().length, 1);
  assert.equal(snapshots.remove(id), true);
  assert.equal(snapshots.remove(id), false);
  assert.deepEqual([layers.list(), rig.storage.content.list()], [[], []]);
  await assert.rejects(snapshots.prepare(newId(), chainIdOf(undefined, digestOf(base))), /no layer/);
  await rig.storage[Symbol.asyncDispose]();
  assert.deepEqual(readdirSync(join(rig.dataRoot, "snapshots")), ["empty"]);
});

test("remove: a large tree is gone before the store is closed", async () => {
  const rig = await openTestStorage();
  const members = Array.from({ length: 400 }, (_, index) => file(`d${index % 7}/f${index}`));
  const id = await withContainer(rig, tarOf(...members, symlink("l", "/etc")));
  rig.storage.snapshots.remove(id);
  await rig.storage[Symbol.asyncDispose]();
  assert.deepEqual(readdirSync(join(rig.dataRoot, "tmp")), []);
  assert.ok(existsSync("/etc"));
  await rig[Symbol.asyncDispose]();
});

test("usage: measured once while nobody can write, again after somebody could", async () => {
  await using rig = await openTestStorage();
  const { snapshots } = rig.storage;
  const id = newId();
  await snapshots.prepare(id, undefined);
  const upper = snapshots.metadata(id).UpperDir;
  const isStill = true;
  writeFileSync(join(upper, "first"), "12345");
  assert.equal(await snapshots.usage(id, { isStill }), 5);
  // Behind the store's back, to see that it does not look.
  writeFileSync(join(upper, "second"), "12345");
  assert.equal(await snapshots.usage(id, { isStill }), 5);
  assert.equal(await snapshots.usage(id), 10, "of one that runs, always");
  snapshots.overlay(id);
  assert.equal(await snapshots.usage(id, { isStill }), 10);
  {
    await using root = await snapshots.mount(id);
    writeFileSync(join(root.path, "third"), "12345");
    assert.equal(await snapshots.usage(id, { isStill }), 15);
    writeFileSync(join(root.path, "fourth"), "12345");
  }
  assert.equal(await snapshots.usage(id, { isStill }), 20);
});
