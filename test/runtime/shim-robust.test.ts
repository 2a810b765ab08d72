import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, readlink, stat } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { constants } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RuntimeError, readExitRecord, Task } from "#runtime";
import { stuckFileSystem } from "#test/stuck-file-system";
import { openConnection, Rig, receive, spawnBinary, splitFrames, type TestContainer, waitFor } from "./shim-rig.ts";

const outputs = { stdin: false, stdout: true, stderr: true };

/** Starts the container from a process of its own, as the daemon does. */
async function startFromDaemon(container: TestContainer): Promise<ChildProcess> {
  const script = new URL("./shim-daemon.ts", import.meta.url).pathname;
  const daemon = spawn(process.execPath, [script, spawnBinary, container.bundle, container.socketPath], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(daemon, "exit").then(() => Promise.reject(new Error("the daemon could not start its container")));
  await Promise.race([once(daemon.stdout, "data"), ended]);
  ended.catch(() => undefined); // it is killed later
  return daemon;
}

async function killDaemon(daemon: ChildProcess): Promise<void> {
  const exited = once(daemon, "exit");
  daemon.kill("SIGKILL");
  await exited;
}

async function reconnect(container: TestContainer): Promise<Task> {
  const found = await Task.connect(container);
  assert.ok(found);
  container.task = found.task;
  return found.task;
}

test("kill -9 of the daemon: the container runs on, no byte of its log is lost, and it is found again", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({
    args: ["sh", "-c", "seq 1 50000; read x; seq 50001 60000; exit 6"],
    stdin: "open",
  });
  const daemon = await startFromDaemon(container);
  await killDaemon(daemon);
  const task = await reconnect(container);
  assert.equal((await task.state()).status, "running");
  const socket = await task.attach({ ...outputs, stdin: true });
  socket.write("go\n");
  const output = receive(socket);
  assert.equal((await task.exited).exitCode, 6);
  await output;
  assert.equal(await container.logged(), Array.from({ length: 60000 }, (_, i) => `${i + 1}\n`).join(""));
});

test("kill -9 of the daemon: an exit that nobody saw is in exit.json", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sh", "-c", "read x; exit 8"], stdin: "once" });
  const daemon = await startFromDaemon(container);
  await killDaemon(daemon);
  const socket = await openConnection(container.socketPath);
  socket.end(`${JSON.stringify({ op: "attach", stdin: true, stdout: true, stderr: true })}\n\n`);
  await receive(socket);
  const deadline = Date.now() + 5000;
  while ((await Task.connect(container)) !== undefined) assert.ok(Date.now() < deadline);
  const record = await readExitRecord(container.bundle);
  assert.equal(record?.exitCode, 8);
});

test("a killed shim: the task says so, and clean ends what it left", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  const shim = await rig.spawner.spawn(container.bundle, container.socketPath);
  const task = await container.adopt();
  await task.start();
  process.kill(shim, "SIGKILL");
  await assert.rejects(task.exited, (error) => error instanceof RuntimeError && error.stage === "shim");
  assert.equal(await readExitRecord(container.bundle), undefined);
  await rig.spawner.clean(container.bundle);
  const deadline = Date.now() + 10_000;
  while ((await readExitRecord(container.bundle)) === undefined) assert.ok(Date.now() < deadline);
  assert.equal((await readExitRecord(container.bundle))?.exitCode, 137);
  assert.throws(() => process.kill(task.pid, 0), { code: "ESRCH" });
});

test("a line that is no request is refused, and the connection and the container stay", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  const task = await container.create();
  await task.start();
  const socket = await openConnection(container.socketPath);
  socket.end(['{"seq":7,"op":"state",}', '{"seq":8}', "[]", "nonsense", '{"seq":9,"op":"state"}\n'].join("\n"));
  const answers = (await receive(socket)).toString().split("\n", 5);
  const seen = answers.map((line) => JSON.parse(line)).map(({ seq, error }) => [seq, error?.errno]);
  const { EINVAL } = constants.errno;
  assert.deepEqual(seen, [
    [7, EINVAL],
    [8, EINVAL],
    [0, EINVAL],
    [0, EINVAL],
    [9, undefined],
  ]);
  const args = ["x".repeat(5 << 20)];
  await assert.rejects(task.execCreate("big", { args, cwd: "/", env: [] } as never, false), /argument list too long/);
  assert.equal((await task.state()).status, "running");
});

test("a new shim ends one before it whose runtime waits for a disk, and what that had begun to make", async () => {
  await using rig = await Rig.start();
  const folder = join(rig.directory, "disk");
  await mkdir(folder);
  const container = await rig.prepare({ args: ["sh", "-c", "exit 4"], bind: folder });
  let second: Promise<Task>;
  {
    using _disk = stuckFileSystem(folder);
    const first = container.create();
    first.catch(() => undefined);
    const deadline = Date.now() + 10_000;
    while (!existsSync(join(container.bundle, "runtime-1.log"))) {
      assert.ok(Date.now() < deadline);
      await new Promise((resolve) => setImmediate(resolve));
    }
    second = container.create();
    await assert.rejects(first, /signal: Killed/);
  }
  await second.catch(() => undefined);
  const task = await container.create();
  await task.start();
  assert.equal((await task.exited).exitCode, 4);
});

test("spawn: a minispawn that is stopped is told, and serves the next when it goes on", async (t) => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sh", "-c", "exit 4"] });
  const minispawn = Number(spawnSync("pgrep", ["-P", String(process.pid), "minispawn"]).stdout);
  process.kill(minispawn, "SIGSTOP");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const refused = assert.rejects(rig.spawner.clean(join(rig.directory, "nothing")), /has not answered within 30 s/);
  t.mock.timers.tick(30_000);
  t.mock.timers.reset();
  await refused;
  process.kill(minispawn, "SIGCONT");
  const task = await container.create();
  await task.start();
  assert.equal((await task.exited).exitCode, 4);
});

test("attach: a slow client is waited for, and loses nothing", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["seq", "1", "500000"], log: { driver: "none" } });
  const task = await container.create();
  const slow = await task.attach(outputs);
  const fast = await task.attach(outputs);
  await task.start();
  const [received] = await Promise.all([receive(fast), readSlowly(slow)]);
  assert.equal(splitFrames(received).stdout.length, 3388895);
});

async function readSlowly(socket: Socket): Promise<void> {
  let size = 0;
  for await (const chunk of socket) {
    size += Buffer.from(chunk).length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(size > 3388895);
}

test("attach: a client that never reads is forgotten when it goes, and the container runs on", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({
    args: ["sh", "-c", "seq 1 200000; echo done >&2; exit 2"],
    log: { driver: "none" },
  });
  const task = await container.create();
  const stuck = await task.attach(outputs);
  stuck.pause();
  await task.start();
  stuck.destroy();
  assert.equal((await task.exited).exitCode, 2);
});

test("attach: what a client has not read when the container ends is still delivered, and the id can start again meanwhile", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sh", "-c", "seq 1 60000"], log: { driver: "none" } });
  const first = await container.create();
  const late = await first.attach(outputs);
  await first.start();
  await first.closed;
  const second = await container.create();
  await second.start();
  assert.equal((await second.exited).exitCode, 0);
  assert.equal(splitFrames(await receive(late)).stdout.length, 348894);
});

test("attach: an unknown exec is refused", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  const task = await container.create();
  await assert.rejects(task.attach({ ...outputs, exec: "nosuch" }), { stage: "state", errno: 3 });
});

test("the socket: garbage, endless lines and half requests harm nobody", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  const task = await container.create();
  await task.start();
  for (const garbage of [
    "\n",
    "{}\n",
    "nonsense\n",
    `{"seq":1}\n`,
    `${"[".repeat(100_000)}\n`,
    '{"op":"attach","exec":7',
    "\0\0\0\n",
    '{"seq":1,"op":"\\u0000"}\n',
  ])
    (await openConnection(container.socketPath)).end(garbage);
  const endless = await openConnection(container.socketPath);
  const closed = new Promise((resolve) => endless.once("close", resolve));
  const pump = (): void => {
    while (!endless.destroyed && endless.write(Buffer.alloc(65536, "x")));
  };
  endless.on("drain", pump);
  pump();
  await closed;
  const odd = await openConnection(container.socketPath);
  odd.write('{"seq":5,"op":"nosuch"}\n{"seq":6,"op":"kill","signal":"x"}\n{"seq":7,"op":"exec-start","exec":["a"]}\n');
  await waitFor(odd, '"seq":7');
  odd.destroy();
  assert.equal((await task.state()).status, "running");
});

test("the socket: only its owner and root are served, even if its mode lets others connect", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  const task = await container.create();
  assert.equal((await stat(container.socketPath)).mode & 0o777, 0o600);
  for (const path of [rig.directory, container.bundle, container.socketPath]) await chmod(path, 0o777);
  const client = `use Socket; $SIG{PIPE} = "IGNORE"; socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S, sockaddr_un($ARGV[0])) or die "$!";
    syswrite(S, qq({"seq":1,"op":"state"}\\n)); $n = sysread(S, $answer, 4096); print "got:$answer"`;
  const ask = (uid: number): string =>
    spawnSync("/usr/bin/perl", ["-e", client, container.socketPath], { uid }).stdout.toString();
  assert.match(ask(0), /got:.*"created"/);
  assert.equal(ask(65534), "got:");
  assert.equal((await task.state()).status, "created");
});

test("the socket: five thousand idle connections do not keep the daemon out", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sh", "-c", "read x; exit 3"], stdin: "open" });
  const task = await container.create();
  await task.start();
  const idle: Socket[] = [];
  for (let i = 0; i < 5000; i++) {
    const socket = connect(container.socketPath);
    socket.on("error", () => undefined);
    idle.push(socket);
  }
  assert.equal((await task.state()).status, "running");
  for (const socket of idle) socket.destroy();
  const attached = await task.attach({ ...outputs, stdin: true });
  attached.end("go\n");
  await receive(attached);
  assert.equal((await task.exited).exitCode, 3);
});

async function ownProcesses(directory: string): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "")));
  return lines.filter((line) => line.includes(directory));
}

test("a hundred at once: all end with their own code, and no process, mount, cgroup or descriptor is left", async () => {
  await using rig = await Rig.start();
  const mounts = await readFile("/proc/self/mountinfo", "utf8");
  const codes = await Promise.all(
    Array.from({ length: 100 }, async (_, code) => {
      const container = await rig.prepare({ args: ["sh", "-c", `echo ${code}; exit ${code}`] });
      const task = await container.create();
      await task.start();
      const exit = await task.exited;
      await task.closed;
      assert.equal(await container.logged(), `${code}\n`);
      return exit.exitCode;
    }),
  );
  assert.deepEqual(
    codes,
    Array.from({ length: 100 }, (_, code) => code),
  );
  // The last thing that a shim does after it has closed its connections is to exit.
  const deadline = Date.now() + 5000;
  while ((await ownProcesses(rig.directory)).length > 0) assert.ok(Date.now() < deadline);
  assert.ok(!(await readFile("/proc/self/mountinfo", "utf8")).includes(rig.directory) && mounts !== "");
  for (const hierarchy of await readdir("/sys/fs/cgroup")) {
    const folders = await readdir(join("/sys/fs/cgroup", hierarchy, rig.cgroupParent), { withFileTypes: true }).catch(
      () => [],
    );
    assert.deepEqual(
      folders.filter((entry) => entry.isDirectory()).map((entry) => entry.name),
      [],
    );
  }
});

test("a container has no descriptor but its three", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sh", "-c", "ls /proc/1/fd; exec sleep 1000"], stdin: "open" });
  const task = await container.create();
  const socket = await task.attach(outputs);
  await task.start();
  await waitFor(socket, "2\n");
  socket.destroy();
  assert.deepEqual((await readdir(`/proc/${task.pid}/fd`)).sort(), ["0", "1", "2"]);
});

test("the shim: one per container, of a session of its own, below a megabyte", async () => {
  await using rig = await Rig.start();
  const container = await rig.prepare({ args: ["sleep", "1000"] });
  const shim = await rig.spawner.spawn(container.bundle, container.socketPath);
  const task = await container.adopt();
  await task.start();
  const status = await readFile(`/proc/${shim}/status`, "utf8");
  assert.equal(/^NSsid:\s+(\d+)/m.exec(status)?.[1], String(shim));
  assert.equal(await readlink(`/proc/${shim}/fd/0`), "/dev/null");
  if (process.env.SHIM_BUILD === undefined) assert.ok(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) < 1024, status);
});

test("spawn: a socket path that is too long, and a bundle that is not there, are told", async () => {
  await using rig = await Rig.start();
  const bundle = join(rig.directory, "empty");
  await mkdir(bundle);
  await assert.rejects(rig.spawner.spawn(bundle, join(bundle, "x".repeat(120))), { stage: "io", errno: 36 });
  await assert.rejects(rig.spawner.spawn("/nosuch", join(bundle, "s")), { stage: "io", errno: 2 });
  await assert.rejects(Task.create({ bundle, socketPath: join(bundle, "s") }, rig.spawner), {
    stage: "config",
    errno: 2,
  });
});

test("connect: undefined where no shim listens", async () => {
  await using rig = await Rig.start();
  assert.equal(await Task.connect({ bundle: rig.directory, socketPath: join(rig.directory, "nosuch") }), undefined);
});
