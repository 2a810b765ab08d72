import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { lineServer } from "#test/busybox";
import { lineOf, must, stop } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";

/** kill -9 of the daemon: containers are the shims' business, and a new daemon finds them as they are. */
let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
});
after(() => daemon[Symbol.asyncDispose]());

const inspect = (name: string, format: string) => daemon.ok("inspect", "-f", format, name);

test("takeover: what runs goes on, and its log loses no byte", async () => {
  const script = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo $i; sleep 0.01; done";
  await daemon.ok("run", "-d", "--name", "counting", "busybox", "sh", "-c", script);
  const pid = await inspect("counting", "{{.State.Pid}}");
  await daemon.kill();
  await daemon.start();
  assert.equal(await inspect("counting", "{{.State.Pid}} {{.State.Running}}"), `${pid} true`);
  const { stdout } = await daemon.docker(["logs", "-f", "counting"]);
  assert.equal(stdout, Array.from({ length: 400 }, (_, n) => `${n + 1}\n`).join(""));
  assert.equal(await daemon.ok("wait", "counting"), "0");
  await daemon.ok("rm", "counting");
});

test("takeover: an attach can be opened again, with input", async () => {
  await daemon.ok("run", "-di", "--name", "cat", "busybox", "cat");
  await daemon.kill();
  await daemon.start();
  const client = daemon.spawnDocker(["attach", "cat"]);
  const echoed = lineOf(client, /still here/);
  client.stdin?.write("still here\n");
  await echoed;
  await stop(client, "SIGKILL");
  await daemon.ok("rm", "-f", "cat");
});

test("takeover: an exit that nobody saw is reported", async () => {
  await daemon.ok(
    "run",
    "-d",
    "--name",
    "gone",
    "busybox",
    "sh",
    "-c",
    "until [ -e /go ]; do sleep 0.05; done; exit 9",
  );
  const pid = await inspect("gone", "{{.State.Pid}}");
  await daemon.kill();
  writeFileSync(`/proc/${pid}/root/go`, "");
  await must(["tail", `--pid=${pid}`, "-f", "/dev/null"]);
  await daemon.start();
  assert.equal(await daemon.ok("wait", "gone"), "9");
  assert.equal(await inspect("gone", "{{.State.Status}} {{.State.ExitCode}}"), "exited 9");
  await daemon.ok("rm", "gone");
});

test("takeover: a container with --rm that ended meanwhile is removed", async () => {
  await daemon.ok(
    "run",
    "-d",
    "--rm",
    "--name",
    "tidy",
    "busybox",
    "sh",
    "-c",
    "until [ -e /go ]; do sleep 0.05; done",
  );
  const pid = await inspect("tidy", "{{.State.Pid}}");
  await daemon.kill();
  writeFileSync(`/proc/${pid}/root/go`, "");
  await must(["tail", `--pid=${pid}`, "-f", "/dev/null"]);
  await daemon.start();
  await daemon.docker(["wait", "tidy"]);
  assert.equal(await daemon.ok("ps", "-aq", "-f", "name=tidy"), "");
});

test("takeover: a container with --rm that never ran goes when the daemon starts", async () => {
  await daemon.ok("create", "--rm", "--name", "unused", "busybox", "true");
  await daemon.kill();
  await daemon.start();
  await daemon.http.post("/containers/unused/wait?condition=removed");
  assert.equal(await daemon.ok("ps", "-aq", "-f", "name=unused"), "");
});

test("takeover: published ports stay reachable, without a daemon too", async () => {
  await daemon.ok("run", "-d", "--name", "web", "-p", "8123:80", "busybox", "sh", "-c", lineServer("hello"));
  await lineOf(daemon.spawnDocker(["logs", "-f", "web"]), /up/);
  const ask = () => daemon.inNetwork("timeout", "20", "busybox", "nc", "127.0.0.1", "8123");
  assert.equal(await ask(), "hello");
  await daemon.kill();
  assert.equal(await ask(), "hello");
  await daemon.start();
  assert.equal(await ask(), "hello");
  await daemon.ok("rm", "-f", "web");
});

test("takeover: exec, stop and start work as before", async () => {
  await daemon.ok("run", "-d", "--name", "same", "busybox", "sleep", "1000");
  await daemon.kill();
  await daemon.start();
  assert.equal(await daemon.ok("exec", "same", "echo", "in"), "in");
  await daemon.ok("stop", "-t", "0", "same");
  await daemon.ok("start", "same");
  await daemon.ok("rm", "-f", "same");
});

test("restart: an ordinary stop and start keeps containers, images, volumes and networks", async () => {
  await daemon.ok("network", "create", "kept-net");
  await daemon.ok("volume", "create", "kept-vol");
  await daemon.ok("create", "--name", "kept", "--network", "kept-net", "-v", "kept-vol:/v", "busybox", "echo", "yes");
  await daemon.restart();
  assert.equal(await daemon.ok("images", "--format", "{{.Repository}}"), "busybox");
  assert.equal(await daemon.ok("start", "-a", "kept"), "yes");
  await daemon.ok("rm", "kept");
  await daemon.ok("network", "rm", "kept-net");
  await daemon.ok("volume", "rm", "kept-vol");
});

test("takeover: a shim that does not answer holds up nobody, and is taken over when it does", async () => {
  await daemon.ok("run", "-d", "--name", "stuck", "busybox", "sleep", "1000");
  await daemon.ok("run", "-d", "--name", "free", "busybox", "sleep", "1000");
  const parent = await must(["ps", "-o", "ppid=", "-p", await inspect("stuck", "{{.State.Pid}}")]);
  const shim = Number(parent);
  process.kill(shim, "SIGSTOP");
  try {
    assert.equal(await daemon.ok("ps", "-f", "name=stuck", "-f", "status=running", "--format", "{{.Names}}"), "stuck");
    assert.equal(await daemon.ok("exec", "free", "echo", "on"), "on");
    await daemon.kill();
    await daemon.start();
    assert.equal(await inspect("stuck", "{{.State.Status}}"), "running");
    assert.equal(await daemon.ok("exec", "free", "echo", "on"), "on");
    const refused = await daemon.docker(["exec", "stuck", "true"]);
    assert.equal(refused.status, 1);
  } finally {
    process.kill(shim, "SIGCONT");
  }
  const asking = "until docker exec stuck true; do sleep 0.05; done";
  await must(["timeout", "20", "sh", "-c", asking], { env: daemon.environment });
  await daemon.ok("rm", "-f", "stuck", "free");
});

test("takeover: with live-restore, containers run on when the daemon is told to end", async () => {
  await using live = await startDaemon();
  writeFileSync(join(live.folder, "daemon.json"), '{"live-restore": true}');
  await live.restart();
  await live.ok("run", "-d", "--name", "lives", "busybox", "sleep", "1000");
  const state = () => live.ok("inspect", "-f", "{{.State.Pid}} {{.State.Running}}", "lives");
  const before = await state();
  await live.restart();
  assert.equal(await state(), before);
  assert.equal(await live.ok("exec", "lives", "echo", "there"), "there");
});

test("takeover: what its policy wants back comes back once, and that is no restart of the container's own", async () => {
  await daemon.ok("run", "-d", "--name", "lost", "--restart", "on-failure:1", "busybox", "sleep", "100");
  await daemon.ok("run", "-d", "--name", "shot", "--restart", "on-failure", "busybox", "sleep", "100");
  await daemon.ok("run", "-d", "--name", "halted", "--restart", "unless-stopped", "busybox", "sleep", "100");
  await daemon.ok("kill", "shot", "halted");
  const pid = await inspect("lost", "{{.State.Pid}}");
  await daemon.kill();
  await must(["kill", "-9", pid]);
  await must(["tail", `--pid=${pid}`, "-f", "/dev/null"]);
  await daemon.start();
  for (const name of ["lost", "shot"])
    assert.equal(await inspect(name, "{{.State.Status}} {{.RestartCount}}"), "running 0");
  assert.equal(await inspect("halted", "{{.State.Status}} {{.State.ExitCode}}"), "exited 137");
  await daemon.ok("rm", "-f", "lost", "shot", "halted");
});
