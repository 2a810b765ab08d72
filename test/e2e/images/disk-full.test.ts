/** The disk is full at any moment of what images do: the client is told, nothing is half-recorded, and it works again later. */
import assert from "node:assert/strict";
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { MNT_DETACH, mount, umount2 } from "#native";
import { type Daemon, startDaemon } from "#test/daemon";
import { startRegistry } from "#test/registry";
import { faultsOf } from "./faults.ts";
import { writeImage } from "./made.ts";

const mib = 1 << 20;

/** Fills the file system until only so many bytes are free. */
function leaveFree(folder: string, bytes: number): Disposable {
  const filler = join(folder, "filler");
  const { bavail, bsize } = statfsSync(folder);
  writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - bytes)));
  return { [Symbol.dispose]: () => rmSync(filler, { force: true }) };
}

test("a full disk: pull, load, import and commit fail in clear words, leave nothing, and work when there is space", async () => {
  await using daemon = await startDaemon({ hasBusybox: false });
  await using registry = await startRegistry(daemon.network);
  const name = `${registry.address}/x:1`;
  const archive = join(daemon.folder, "image.tar");
  const small = { files: 200, bytesPerFile: 3000 };
  writeImage(archive, {
    tag: name,
    layers: [
      { seed: "small", ...small },
      { seed: "large", files: 2, bytesPerFile: 5 * mib },
    ],
  });
  await daemon.ok("load", "-i", archive);
  await daemon.ok("push", name);
  await daemon.stop();
  rmSync(daemon.dataRoot, { recursive: true });
  mount({ source: "tmpfs", target: mountPoint(daemon), type: "tmpfs", options: "size=96m" });
  await using undo = new AsyncDisposableStack();
  undo.defer(() => umount2(daemon.dataRoot, MNT_DETACH));
  undo.defer(() => daemon.stop());
  await daemon.start();
  await daemon.loadBusybox();
  await daemon.ok("create", "--name", "changed", "busybox");
  await daemon.ok("cp", archive, "changed:/big");
  const works: readonly (readonly string[])[] = [
    ["pull", name],
    ["load", "-i", archive],
    ["import", archive, name],
    ["commit", "changed", name],
  ];
  const words = /no space left on device|database or disk is full/;
  let failures = 0;
  for (const argv of works) {
    for (const free of [0, 0.6, 4, 7, 11, 16].map((size) => size * mib)) {
      const { status, stderr, stdout } = await withFree(daemon, free, argv);
      const isHere = (await daemon.ok("images", "-q", name)) !== "";
      const where = `${argv.join(" ")} with ${free} bytes: status ${status}, ${stdout}${stderr}`;
      assert.equal(isHere, status === 0, where);
      if (status !== 0) assert.match(stderr + stdout, words, where);
      if (status !== 0) failures++;
      assert.deepEqual(await faultsOf(daemon.dataRoot), [], where);
      if (isHere) await daemon.ok("rmi", name);
    }
    await daemon.ok(...argv);
    await daemon.ok("rmi", name);
  }
  assert.ok(failures >= works.length * 3, `only ${failures} failed`);
  await daemon.ok("rm", "changed");
  await daemon.ok("image", "prune", "-af");
  await daemon.restart();
  assert.deepEqual(await faultsOf(daemon.dataRoot), []);
});

async function withFree(daemon: Daemon, free: number, argv: readonly string[]) {
  using _filler = leaveFree(daemon.dataRoot, free);
  return await daemon.docker(argv);
}

function mountPoint(daemon: Daemon): string {
  mkdirSync(daemon.dataRoot);
  return daemon.dataRoot;
}
