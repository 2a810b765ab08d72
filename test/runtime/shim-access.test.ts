/** Who may speak to a shim (THREATS C1, CVE-2020-15257: containerd's shim listened where a container on the host's network could reach it). */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { Rig } from "./shim-rig.ts";

/** Names that are in the network namespace instead of the file system. */
const abstractSockets = (): string[] =>
  readFileSync("/proc/net/unix", "utf8")
    .split("\n")
    .flatMap((line) => (/ (@.*)$/.exec(line) ?? []).slice(1))
    .sort();

/** What becomes of a request of somebody who is not root: an error's code, and what came until the connection's end. */
async function askAsNobody(socketPath: string): Promise<string> {
  const script = `
    const socket = require("net").connect(process.argv[1], () => socket.write('{"seq":1,"op":"state"}\\n'));
    socket.on("error", (error) => console.log(error.code)).on("data", (data) => console.log(String(data)));
    socket.on("close", () => console.log("closed")).setTimeout(2000, () => socket.destroy(new Error("not closed")));
  `;
  const child = spawn(process.execPath, ["-e", script, socketPath], { uid: 65534, gid: 65534, cwd: "/" });
  return text(child.stdout);
}

test("a shim listens on a path that is root's, and on nothing in the network namespace", async () => {
  await using rig = await Rig.start();
  const before = abstractSockets();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  await rig.spawner.spawn(container.bundle, container.socketPath);
  const task = await container.adopt();
  await task.start();
  assert.deepEqual(abstractSockets(), before);
  assert.equal(statSync(container.socketPath).mode & 0o777, 0o600);
  assert.match(await askAsNobody(container.socketPath), /^EACCES/);
  await task.kill(9);
  await task.exited;
});

test("a shim does not answer who is not root, even where the path is open to all", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  await rig.spawner.spawn(container.bundle, container.socketPath);
  const task = await container.adopt();
  await task.start();
  for (let folder = dirname(container.socketPath); folder !== "/var"; folder = dirname(folder)) {
    chmodSync(folder, statSync(folder).mode | 0o111);
  }
  chmodSync(container.socketPath, 0o666);
  assert.match(await askAsNobody(container.socketPath), /^(EPIPE\n|ECONNRESET\n)?closed\n$/);
  await task.kill(9);
  await task.exited;
});
