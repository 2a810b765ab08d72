/** No space and no inodes, for the data root and the exec root: who wants some is told, and nobody else notices. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { MNT_DETACH, mount, umount2 } from "#native";
import { type Daemon, startDaemon } from "#test/daemon";

function takeSpace(folder: string): Disposable {
  const filler = join(folder, "filler");
  const { bavail, bsize } = statfsSync(folder);
  writeFileSync(filler, Buffer.alloc(bavail * bsize));
  return { [Symbol.dispose]: () => rmSync(filler) };
}

function takeInodes(folder: string): Disposable {
  const filler = join(folder, "filler");
  mkdirSync(filler);
  try {
    for (let n = 0; ; n++) writeFileSync(join(filler, `${n}`), "");
  } catch {
    return { [Symbol.dispose]: () => rmSync(filler, { recursive: true }) };
  }
}

/** An overlay that finds no inode for its work folder is mounted read-only. */
const words = /no space left on device|read-only file system/;

/** Data root and exec root on small file systems of their own. */
async function startSmall(): Promise<AsyncDisposable & { readonly daemon: Daemon }> {
  await using undo = new AsyncDisposableStack();
  const daemon = undo.use(await startDaemon({ hasBusybox: false }));
  await daemon.stop();
  for (const target of [daemon.dataRoot, daemon.execRoot]) {
    rmSync(target, { recursive: true });
    mkdirSync(target);
    mount({ source: "small", target, type: "tmpfs", options: "size=48m,nr_inodes=4000" });
    undo.defer(() => umount2(target, MNT_DETACH));
  }
  undo.defer(() => daemon.stop());
  await daemon.start();
  await daemon.loadBusybox();
  const open = undo.move();
  return { daemon, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

/** Each may fail, and then says why: some need no space. */
const works = [
  ["create", "--name", "new", "busybox", "sleep", "100"],
  ["start", "made"],
  ["start", "new"],
  ["create", "--name", "with-volume", "-v", "fresh:/x", "busybox"],
  ["volume", "create", "vol"],
  ["network", "create", "other"],
  ["network", "connect", "net", "runner"],
  ["network", "disconnect", "net", "runner"],
  ["rename", "runner", "renamed"],
  ["rename", "renamed", "runner"],
  ["update", "--restart", "always", "runner"],
  ["update", "--restart", "no", "runner"],
  ["cp", "/etc/passwd", "made:/passwd"],
  ["exec", "runner", "true"],
] as const;

/** Whatever the disk is like. */
const reads = [
  ["ps", "-as"],
  ["inspect", "runner"],
  ["logs", "--tail", "1", "runner"],
  ["top", "runner"],
  ["events", "--since=0", "--until=1"],
];

test("full disks: works fail in clear words or succeed, the running container does not notice, and all works afterwards", async () => {
  await using small = await startSmall();
  const { daemon } = small;
  await daemon.ok("network", "create", "net");
  const script = "n=0; while :; do n=$((n+1)); echo $n; echo $n >/dev/shm/n; sleep 0.05; done";
  await daemon.ok("run", "-d", "--name", "runner", "busybox", "sh", "-c", script);
  const count = async () => Number(await daemon.ok("exec", "runner", "cat", "/dev/shm/n"));
  for (const root of [daemon.dataRoot, daemon.execRoot]) {
    for (const take of [takeSpace, takeInodes]) {
      const where = `${root}, ${take.name}`;
      await daemon.ok("create", "--name", "made", "busybox", "sleep", "100");
      let failures = 0;
      {
        using _taken = take(root);
        for (const work of works) {
          const { status, stdout, stderr } = await daemon.docker(work);
          if (status === 0) continue;
          failures++;
          if (!stderr.includes("No such container"))
            assert.match(stdout + stderr, words, `${where}: ${work.join(" ")}`);
        }
        for (const read of reads) await daemon.ok(...read);
        assert.equal(
          await daemon.ok("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "runner"),
          "running 0",
          where,
        );
      }
      assert.ok(failures > 0, where);
      for (const name of ["new", "made", "with-volume"]) await daemon.docker(["rm", "-fv", name]);
      await daemon.docker(["volume", "rm", "vol", "fresh"]);
      await daemon.docker(["network", "rm", "other"]);
      assert.equal(
        await daemon.ok("run", "--rm", "-v", "/x", "--network", "net", "busybox", "echo", "on"),
        "on",
        where,
      );
      const before = await count();
      const follow = daemon.spawnDocker(["logs", "-f", "--tail", "0", "runner"]);
      assert.ok(follow.stdout);
      const [line] = await once(follow.stdout, "data");
      follow.kill();
      assert.ok(Number.parseInt(String(line), 10) > before, where);
    }
  }
  assert.equal(await daemon.ok("ps", "-aq").then((ids) => ids.split("\n").length), 1);
  assert.equal(await daemon.ok("volume", "ls", "-q"), "");
});
