import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { RuntimeError } from "#runtime";
import { openSocket, ShimConnection } from "../../src/runtime/shim-connection.ts";
import { Rig, receive, shell, splitFrames, waitFor } from "./shim-rig.ts";

const outputs = { stdin: false, stdout: true, stderr: true };
const everything = { stdin: true, stdout: true, stderr: true };

test("a container's output reaches its attached client and its log, and its exit code the daemon", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sh", "-c", "echo out; echo err >&2; exit 3"] });
  const task = await container.create();
  const output = receive(await task.attach(outputs));
  assert.match(await task.start(), /^\d{4}-\d\d-\d\dT.*Z$/);
  const { exitCode, signal, oomKilled } = await task.exited;
  assert.deepEqual({ exitCode, signal, oomKilled }, { exitCode: 3, signal: 0, oomKilled: false });
  assert.deepEqual(splitFrames(await output), { stdout: "out\n", stderr: "err\n" });
  assert.equal(await container.logged("stdout"), "out\n");
  assert.equal(await container.logged("stderr"), "err\n");
  await task.closed;
});

test("stdin: what a client sends before the start is kept, and its half-close ends a `once` stdin", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["cat"], stdin: "once" });
  const task = await container.create();
  const socket = await task.attach(everything);
  socket.end("hello\n");
  await task.start();
  assert.equal(splitFrames(await receive(socket)).stdout, "hello\n");
  assert.equal((await task.exited).exitCode, 0);
});

test("stdin: a megabyte passes through unharmed", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["cat"], stdin: "once", log: { driver: "none" } });
  const task = await container.create();
  const socket = await task.attach(everything);
  await task.start();
  const sent = Buffer.alloc(1 << 20, "0123456789abcdef\n");
  socket.end(sent);
  assert.ok(splitFrames(await receive(socket)).stdout === sent.toString());
});

test("stdin: an `open` one outlives its clients until close-stdin", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["cat"], stdin: "open" });
  const task = await container.create();
  await task.start();
  const first = await task.attach(everything);
  first.end("one\n");
  await waitFor(first, "one\n");
  first.destroy();
  const second = await task.attach(everything);
  second.write("two\n");
  await waitFor(second, "two\n");
  second.destroy();
  await task.closeStdin();
  assert.equal((await task.exited).exitCode, 0);
  assert.equal(await container.logged(), "one\ntwo\n");
});

test("stdin: a process without one reads the end of file", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["cat"] });
  const task = await container.create();
  await task.start();
  assert.equal((await task.exited).exitCode, 0);
});

test("terminal: it has the asked size, follows resize, and is not framed", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sh"], terminal: true, stdin: "open", consoleSize: [30, 100] });
  const task = await container.create();
  const socket = await task.attach(everything);
  await task.start();
  socket.write("stty size; tty\n");
  assert.match(await waitFor(socket, "/dev/"), /30 100\r\n/);
  await task.resize(40, 120);
  socket.write("stty size\n");
  await waitFor(socket, "40 120\r\n");
  socket.write("exit 5\n");
  const exit = await task.exited;
  socket.destroy();
  assert.equal(exit.exitCode, 5);
  assert.match(await container.logged(), /30 100\r\n/);
});

test("exec: its streams are its own, its exit code is told, and it does not enter the log", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  const task = await container.create();
  await task.start();
  await task.execCreate("e1", shell("cat; echo err >&2; exit 7"), true);
  const socket = await task.attach({ ...everything, exec: "e1" });
  const { pid, exited } = await task.execStart("e1");
  assert.ok(pid > 1);
  socket.end("input\n");
  assert.deepEqual(splitFrames(await receive(socket)), { stdout: "input\n", stderr: "err\n" });
  assert.equal((await exited).exitCode, 7);
  assert.deepEqual((await task.state()).execs, [{ exec: "e1", pid, exitCode: 7 }]);
  await task.execDelete("e1");
  assert.deepEqual((await task.state()).execs, []);
  await task.kill(9);
  assert.equal((await task.exited).exitCode, 137);
  assert.equal(await container.logText(), "");
});

test("exec: with a terminal", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  const task = await container.create();
  await task.start();
  await task.execCreate(
    "e1",
    { ...shell("stty size; read x; echo got $x", true), consoleSize: { height: 20, width: 70 } },
    true,
  );
  const socket = await task.attach({ ...everything, exec: "e1" });
  const { exited } = await task.execStart("e1");
  await waitFor(socket, "20 70\r\n");
  socket.write("word\n");
  await waitFor(socket, "got word\r\n");
  socket.destroy();
  assert.equal((await exited).exitCode, 0);
});

test("exec: twenty short ones at once all end with their own code", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  const task = await container.create();
  await task.start();
  const codes = await Promise.all(
    Array.from({ length: 20 }, async (_, code) => {
      await task.execCreate(`e${code}`, shell(`exit ${code}`), false);
      const { exited } = await task.execStart(`e${code}`);
      return (await exited).exitCode;
    }),
  );
  assert.deepEqual(
    codes,
    Array.from({ length: 20 }, (_, code) => code),
  );
});

test("exec: a missing command is the runtime's error, and its client gets the end of file", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  const task = await container.create();
  await task.start();
  await task.execCreate("e1", { ...shell(""), args: ["/nosuch"] }, false);
  const output = receive(await task.attach({ ...outputs, exec: "e1" }));
  await assert.rejects(task.execStart("e1"), (error) => {
    assert.ok(error instanceof RuntimeError);
    assert.match(error.runtimeMessage, /no such file or directory|not found/);
    return true;
  });
  assert.equal((await output).length, 0);
});

test("exec: a background process that keeps its output open holds back its end for two seconds, not for ever", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  const task = await container.create();
  await task.start();
  await task.execCreate("e1", shell("sleep 500 & echo started"), false);
  const output = receive(await task.attach({ ...outputs, exec: "e1" }));
  const { exited } = await task.execStart("e1");
  assert.equal((await exited).exitCode, 0);
  assert.equal(splitFrames(await output).stdout, "started\n");
});

test("create: a missing command is an error with the runtime's words, and the shim leaves", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["/nosuch"] });
  // minirun and runc notice at create, crun at start.
  await assert.rejects(
    async () => {
      const task = await container.create();
      try {
        await task.start();
      } finally {
        await task.delete();
      }
    },
    (error) => error instanceof RuntimeError && /no such file or directory|not found/.test(error.runtimeMessage),
  );
});

test("create: a runtime that is not there is told with its errno", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["true"], runtimePath: "/nosuch/runtime" });
  const runtimeMessage = "fork/exec /nosuch/runtime: no such file or directory";
  await assert.rejects(container.create(), { stage: "runtime", errno: 2, runtimeMessage });
});

test("create: a root file system that cannot be mounted is told with its stage", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["true"], rootfs: { type: "overlay", options: "lowerdir=/nosuch" } });
  await assert.rejects(container.create(), { stage: "rootfs" });
});

test("delete: a container that was created and never started leaves nothing", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["true"] });
  const task = await container.create();
  await task.delete();
  assert.throws(() => process.kill(task.pid, 0), { code: "ESRCH" });
});

test("kill: the exit code is 128 and the signal; afterwards it is gone", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({
    args: ["sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"],
  });
  const task = await container.create();
  const socket = await task.attach(outputs);
  await task.start();
  await waitFor(socket, "ready");
  await task.kill(15);
  const output = receive(socket);
  assert.equal((await task.exited).exitCode, 9);
  await output;
  await assert.rejects(task.kill(15), RuntimeError);
});

test("pid: a process that got the number of one that has ended is not taken for it", async (t) => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  const task = await container.create();
  await task.start();
  assert.ok(task.hasPid);
  await task.kill(9);
  await task.closed;
  writeFileSync("/proc/sys/kernel/ns_last_pid", String(task.pid - 1));
  using other = spawn("sleep", ["1000"]);
  await once(other, "spawn");
  t.diagnostic(other.pid === task.pid ? "it has" : "the number went to a process of somebody else");
  assert.equal(task.hasPid, false);
});

test("pause and resume: the state follows, output waits", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sh", "-c", "read x; echo $x"], stdin: "open" });
  const task = await container.create();
  const socket = await task.attach(everything);
  await task.start();
  await task.pause();
  assert.equal((await task.state()).status, "paused");
  socket.write("thawed\n");
  await task.resume();
  await waitFor(socket, "thawed");
  socket.destroy();
  assert.equal((await task.exited).exitCode, 0);
});

test("silence: what a shim does after its caller has given up is undone", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  const task = await container.create();
  await task.start();
  const socket = await openSocket(task.socketPath);
  assert.ok(socket);
  const connection = new ShimConnection(socket, () => undefined);
  const [, shim] = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${task.pid}/status`, "utf8")) ?? [];
  process.kill(Number(shim), "SIGSTOP");
  const undone = Promise.withResolvers<unknown>();
  const undo = () => undone.resolve(connection.request("resume"));
  await assert.rejects(connection.request("pause", {}, { patienceMs: 50, undo }), /has not answered pause/);
  process.kill(Number(shim), "SIGCONT");
  await undone.promise;
  assert.equal((await task.state()).status, "running");
  connection.close();
});

test("oom: the event comes, and the exit says it", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({
    args: ["dd", "if=/dev/zero", "of=/dev/null", "bs=256M"],
    memoryBytes: 32 << 20,
  });
  const task = await container.create();
  let events = 0;
  task.on("oom", () => events++);
  await task.start();
  const exit = await task.exited;
  assert.deepEqual({ code: exit.exitCode, oomKilled: exit.oomKilled }, { code: 137, oomKilled: true });
  assert.ok(events >= 1);
});

test("a host pid namespace: what the first process leaves behind ends with it", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sh", "-c", "sleep 900 & echo $!"], hasHostPid: true });
  const task = await container.create();
  await task.start();
  assert.equal((await task.exited).exitCode, 0);
  await task.closed;
  const pid = Number(await container.logged());
  assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
});
