import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { run } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
  await daemon.ok("run", "-d", "--name", "c1", "busybox", "sleep", "1000");
});
after(() => daemon[Symbol.asyncDispose]());

const exec = (...argv: string[]) => daemon.ok("exec", ...argv);

test("exec: output, errors and status come back", async () => {
  const outcome = await daemon.docker(["exec", "c1", "sh", "-c", "echo out; echo err >&2; exit 4"]);
  assert.deepEqual(outcome, { status: 4, stdout: "out\n", stderr: "err\n" });
});

test("exec: standard input arrives, and its end", async () => {
  const { stdout } = await daemon.docker(["exec", "-i", "c1", "wc", "-c"], { stdin: Buffer.alloc(300_000, "x") });
  assert.equal(stdout, "300000\n");
});

test("exec: user, folder and environment are its own", async () => {
  assert.equal(await exec("-u", "7:8", "c1", "id"), "uid=7 gid=8 groups=8");
  assert.equal(await exec("-w", "/tmp", "c1", "pwd"), "/tmp");
  assert.equal(await exec("-e", "A=b", "c1", "sh", "-c", "echo $A"), "b");
});

test("exec: a terminal of its own size", async () => {
  const { stdout } = await run(["script", "-qec", "docker exec -t c1 tty", "/dev/null"], { env: daemon.environment });
  assert.match(stdout, /^\/dev\/pts\/\d+\r+\n$/);
});

test("exec: detached it goes on by itself", async () => {
  await exec("-d", "c1", "sh", "-c", "echo done > /tmp/detached");
  // The next exec waits for the file: a fifo would need the image's help.
  assert.equal(await exec("c1", "sh", "-c", "until [ -s /tmp/detached ]; do :; done; cat /tmp/detached"), "done");
});

test("exec: a command that is not there is 127, one that may not be run 126", async () => {
  const missing = await daemon.docker(["exec", "c1", "nosuch"]);
  assert.equal(missing.status, 127);
  const words =
    'OCI runtime exec failed: exec failed: unable to start container process: exec: "nosuch": executable file not found in $PATH';
  assert.ok((missing.stdout + missing.stderr).includes(words), missing.stdout + missing.stderr);
  assert.equal((await daemon.docker(["exec", "c1", "/etc/passwd"])).status, 126);
});

test("exec: it sees the container, not the host", async () => {
  assert.equal(await exec("c1", "cat", "/proc/1/comm"), "sleep");
  assert.equal(await exec("c1", "sh", "-c", "ls /proc/self/fd"), "0\n1\n2\n3");
});

test("exec: privileged has all capabilities, otherwise Docker's", async () => {
  assert.match(await exec("c1", "grep", "CapEff", "/proc/self/status"), /a80425fb$/);
  assert.doesNotMatch(await exec("--privileged", "c1", "grep", "CapEff", "/proc/self/status"), /a80425fb$/);
});

test("exec: inspect tells how it ended, and a second start is refused", async () => {
  const created = await daemon.http.post("/containers/c1/exec", { Cmd: ["sh", "-c", "exit 6"] });
  assert.equal(created.status, 201);
  const { Id } = created.json() as { Id: string };
  assert.equal((await daemon.http.post(`/exec/${Id}/start`, { Detach: false })).status, 200);
  const { Running, ExitCode } = (await daemon.http.get(`/exec/${Id}/json`)).json() as {
    Running: boolean;
    ExitCode: number;
  };
  assert.deepEqual([Running, ExitCode], [false, 6]);
  assert.equal((await daemon.http.post(`/exec/${Id}/start`, { Detach: true })).status, 409);
});

test("exec: a text that no program can be given is refused, and the container goes on", async () => {
  for (const [body, reason] of [
    [{ Cmd: ["echo", "a\0b"] }, 'exec: "echo": invalid argument'],
    [{ Cmd: ["env"], Env: ["A=b\0c"] }, 'invalid environment variable "A": contains nul byte (\\x00)'],
  ] as const) {
    const { Id } = (await daemon.http.post("/containers/c1/exec", body)).json() as { Id: string };
    const reply = await daemon.http.post(`/exec/${Id}/start`, { Detach: true });
    const message = `OCI runtime exec failed: exec failed: unable to start container process: ${reason}`;
    assert.deepEqual([reply.status, reply.json()], [500, { message }]);
  }
  assert.equal(await exec("c1", "echo", "on"), "on");
});

test("exec: one that never ran goes with the run it was made for, one that ended is not resized", async () => {
  await daemon.ok("run", "-d", "--name", "c2", "busybox", "sleep", "1000");
  const create = async () => {
    const created = await daemon.http.post("/containers/c2/exec", { Cmd: ["true"] });
    return (created.json() as { Id: string }).Id;
  };
  const [ended, waiting] = [await create(), await create()];
  await daemon.http.post(`/exec/${ended}/start`, {});
  const resized = await daemon.http.post(`/exec/${ended}/resize?h=1&w=1`);
  assert.deepEqual(
    [resized.status, resized.json()],
    [404, { message: `NotFound: process does not exist ${ended}: not found` }],
  );
  await daemon.ok("stop", "-t", "0", "c2");
  assert.equal((await daemon.http.get(`/exec/${waiting}/json`)).status, 404);
  assert.equal((await daemon.http.get(`/exec/${ended}/json`)).status, 200);
  await daemon.ok("rm", "c2");
});

test("exec: the start says whether the client expects frames, also from a terminal", async () => {
  const say = async (Tty: { create: boolean; start: boolean }) => {
    const config = { Cmd: ["printf", "hi"], AttachStdout: true, Tty: Tty.create };
    const { Id } = (await daemon.http.post("/containers/c1/exec", config)).json() as { Id: string };
    return (await daemon.http.post(`/exec/${Id}/start`, { Tty: Tty.start })).text;
  };
  assert.equal(await say({ create: true, start: false }), "\x01\0\0\0\0\0\0\x02hi");
  assert.equal(await say({ create: false, start: true }), "hi");
  assert.equal(await say({ create: true, start: true }), "hi");
});

test("exec: fifty at once", async () => {
  const outputs = await Promise.all(Array.from({ length: 50 }, (_, n) => exec("c1", "echo", String(n))));
  assert.deepEqual(
    outputs,
    Array.from({ length: 50 }, (_, n) => String(n)),
  );
});

test("exec: a container that does not run is refused", async () => {
  await daemon.ok("create", "--name", "cold", "busybox");
  const { status, stderr } = await daemon.docker(["exec", "cold", "true"]);
  assert.equal(status, 1);
  assert.match(stderr, /container [0-9a-f]{64} is not running/);
  await daemon.ok("rm", "cold");
});
