import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "#test/command";
import { startDaemon } from "#test/daemon";

/** Where a real runc is: in PATH, or in the root that peer-env built. */
async function findRunc(): Promise<string | undefined> {
  const { stdout } = await run(["sh", "-c", "command -v runc || ls ${PEERS:-/var/tmp/peers/sid}/usr/sbin/runc"]);
  return stdout.trim() || undefined;
}
const runc = await findRunc();

test("runtime: runc in the place of minirun gives the same", {
  skip: runc === undefined && "no runc here",
}, async () => {
  await using daemon = await startDaemon({ args: ["--add-runtime", `real=${runc}`] });
  const flags = ["run", "--rm", "--runtime", "real"];
  assert.equal(await daemon.ok(...flags, "busybox", "echo", "hello"), "hello");
  assert.equal((await daemon.docker([...flags, "busybox", "sh", "-c", "exit 7"])).status, 7);
  const missing = await daemon.docker([...flags, "busybox", "nosuch"]);
  assert.equal(missing.status, 127);
  assert.match(missing.stderr, /exec: "nosuch": executable file not found in \$PATH/);
  await daemon.ok("run", "-d", "--name", "r1", "--runtime", "real", "busybox", "sleep", "100");
  assert.equal(await daemon.ok("exec", "r1", "cat", "/proc/1/comm"), "sleep");
  await daemon.ok("pause", "r1");
  await daemon.ok("unpause", "r1");
  await daemon.ok("stop", "-t", "0", "r1");
  await daemon.ok("rm", "r1");
});
