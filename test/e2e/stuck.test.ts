/** A file system that never answers, under one container: the others must not notice. */
import assert from "node:assert/strict";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { MNT_DETACH, mount, umount2 } from "#native";
import { must } from "#test/command";
import { startDaemon } from "#test/daemon";

/** FUSE whose server reads no request: whoever looks into the folder waits until `[Symbol.dispose]`. */
function stuckFileSystem(target: string): Disposable {
  const fd = openSync("/dev/fuse", "r+");
  const options = `fd=${fd},rootmode=40000,user_id=0,group_id=0`;
  mount({ source: "stuck", target, type: "fuse", flags: 0, options });
  return {
    [Symbol.dispose]: () => {
      closeSync(fd);
      umount2(target, MNT_DETACH);
    },
  };
}

test("stuck: cp from and to a disk that does not answer, and starts with it, hold up nobody else", async () => {
  await using daemon = await startDaemon();
  const base = join(daemon.folder, "base");
  const far = join(base, "far");
  mkdirSync(far, { recursive: true });
  await must(["mount", "--bind", base, base]);
  try {
    await must(["mount", "--make-shared", base]);
    await daemon.ok("run", "-d", "--name", "stuck", "-v", `${base}:/data:rslave`, "busybox", "sleep", "1000");
    await daemon.ok("run", "-d", "--name", "free", "busybox", "sleep", "1000");
    let settled = 0;
    const waiting: Promise<unknown>[] = [];
    {
      using _disk = stuckFileSystem(far);
      const ask = (...argv: string[]) => waiting.push(daemon.docker(argv).finally(() => settled++));
      for (let n = 0; n < 5; n++) {
        ask("cp", "stuck:/data/far/file", daemon.folder);
        ask("cp", join(daemon.folder, "daemon.json"), "stuck:/data/far/");
        ask("run", "--rm", "-v", `${far}:/x`, "busybox", "true");
      }
      assert.equal(await daemon.ok("exec", "free", "echo", "on"), "on");
      assert.equal(await daemon.ok("run", "--rm", "busybox", "echo", "on"), "on");
      await daemon.ok("cp", "free:/etc/passwd", join(daemon.folder, "passwd"));
      assert.equal(await daemon.ok("ps", "-q", "-f", "name=stuck").then((id) => id.length), 12);
      assert.equal(settled, 0, "the disk answered");
    }
    await Promise.all(waiting);
    await daemon.ok("rm", "-f", "stuck", "free");
  } finally {
    umount2(base, MNT_DETACH);
  }
});
