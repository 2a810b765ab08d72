import assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { provideCriu } from "#test/criu";
import { type Daemon, startDaemon } from "#test/daemon";

// `docker checkpoint` and `docker start --checkpoint`. What is asked of refusals is what dockerd 28.5.2 --experimental said.
const missing = await provideCriu();
const skip = missing ?? false;
let daemon: Daemon;
before(async () => {
  daemon = await startDaemon({ args: ["--experimental"] });
});
after(() => daemon[Symbol.asyncDispose]());

/** Counts the SIGUSR1s in memory. */
const counter = ["sh", "-c", "i=0; trap 'i=$((i+1)); echo $i' USR1; echo $i; while :; do sleep 1000 & wait $!; done"];

const run = (name: string, ...flags: string[]) =>
  daemon.ok("run", "-d", "--name", name, ...flags, "busybox", ...counter);
const status = (name: string) => daemon.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name);

async function reaches(name: string, number: number): Promise<void> {
  let last = "";
  for (let tries = 0; tries < 100 && last !== String(number); tries++) {
    await delay(20);
    last = (await daemon.ok("logs", "--tail", "1", name)).trim();
  }
  assert.equal(last, String(number));
}

async function counts(name: string, number: number): Promise<void> {
  await daemon.ok("kill", "-s", "USR1", name);
  await reaches(name, number);
}

async function answer(method: string, path: string, body?: object): Promise<[number, unknown]> {
  const reply = await daemon.http.send(method, path, body === undefined ? {} : { body });
  return [reply.status, reply.text === "" ? "" : reply.json()];
}

test("checkpoint: a container goes on counting where it was, on its network and with its volumes", {
  skip,
}, async () => {
  await run("counting", "-v", "things:/things", "--tmpfs", "/scratch", "-p", "80");
  await reaches("counting", 0);
  await counts("counting", 1);
  await daemon.ok("exec", "counting", "sh", "-c", "echo volume >/things/file; echo scratch >/scratch/file");
  assert.equal(await daemon.ok("checkpoint", "create", "--leave-running", "counting", "early"), "early");
  await counts("counting", 2);
  assert.equal(await daemon.ok("checkpoint", "create", "counting", "late"), "late");
  assert.equal(await daemon.ok("wait", "counting"), "137");
  assert.equal(await daemon.ok("checkpoint", "ls", "counting"), "CHECKPOINT NAME\nearly\nlate");

  await daemon.ok("start", "--checkpoint", "late", "counting");
  await counts("counting", 3);
  const script = "cat /things/file /scratch/file; ip -4 -o addr show eth0; grep -c . /proc/net/dev; cat /proc/1/status";
  const seen = await daemon.ok("exec", "counting", "sh", "-c", script);
  const address = await daemon.ok(
    "inspect",
    "-f",
    "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
    "counting",
  );
  assert.match(seen, new RegExp(`^volume\nscratch\n.*inet ${address}/`));
  assert.match(seen, /^CapBnd:\t00000000a80425fb$/m);
  assert.match(seen, /^Seccomp:\t2$/m);

  await daemon.ok("kill", "counting");
  await daemon.ok("start", "--checkpoint", "early", "counting");
  await counts("counting", 2);
  await daemon.ok("checkpoint", "rm", "counting", "early");
  assert.equal(await daemon.ok("checkpoint", "ls", "counting"), "CHECKPOINT NAME\nlate");
  const now = (Date.now() / 1000).toFixed(3); // "0s" would cut off the second that we are in
  const events = await daemon.ok(
    "events",
    "--since",
    "1h",
    "--until",
    now,
    "-f",
    "container=counting",
    "--format",
    "{{.Action}}",
  );
  const told = events.split("\n").filter((action) => !/^(exec|kill)/.test(action));
  const round = ["pause", "unpause", "checkpoint", "pause", "checkpoint", "die", "start", "die", "start"];
  assert.deepEqual(told, ["create", "start", ...round]);
  await daemon.ok("rm", "-f", "counting");
});

test("checkpoint: a terminal is there again", { skip }, async () => {
  await run("terminal", "-t");
  await reaches("terminal", 0);
  await daemon.ok("checkpoint", "create", "terminal", "point");
  await daemon.ok("start", "--checkpoint", "point", "terminal");
  await counts("terminal", 1);
  assert.match(await daemon.ok("exec", "terminal", "readlink", "/proc/1/fd/0"), /^\/dev\/pts\/\d+$/);
  await daemon.ok("rm", "-f", "terminal");
});

test("checkpoint: an attached client sees what comes after the restore, from the first byte", { skip }, async () => {
  const script = "while read line; do echo got $line; done";
  await daemon.ok("run", "-di", "--name", "reader", "busybox", "sh", "-c", script);
  await daemon.ok("checkpoint", "create", "reader", "point");
  const client = daemon.spawnDocker(["start", "-ai", "--checkpoint", "point", "reader"]);
  client.stdin?.write("this\n");
  let output = "";
  for await (const bytes of client.stdout ?? []) {
    output += bytes;
    if (output.includes("\n")) break;
  }
  assert.equal(output, "got this\n");
  await daemon.ok("rm", "-f", "reader");
});

test("checkpoint: daemons die in between, and what was restored goes on", { skip }, async () => {
  await run("lasting");
  await counts("lasting", 1);
  await daemon.ok("checkpoint", "create", "lasting", "point");
  await daemon.kill();
  await daemon.start();
  await daemon.ok("start", "--checkpoint", "point", "lasting");
  await counts("lasting", 2);
  await daemon.kill();
  await daemon.start();
  await counts("lasting", 3);
  await daemon.ok("rm", "-f", "lasting");
});

test("checkpoint: a damaged one is told, and leaves a container that can be started anew", { skip }, async () => {
  await run("damaged");
  await daemon.ok("checkpoint", "create", "damaged", "point");
  const id = await daemon.ok("inspect", "-f", "{{.Id}}", "damaged");
  rmSync(join(daemon.dataRoot, "containers", id, "checkpoints/point/core-1.img"));
  const { stderr } = await daemon.docker(["start", "--checkpoint", "point", "damaged"]);
  assert.match(stderr, /Error response from daemon: OCI runtime restore failed: criu failed: type \w+ errno \d+/);
  // That of the run that the checkpoint ended.
  assert.equal(await status("damaged"), "exited 137");
  await daemon.ok("start", "damaged");
  assert.equal(await status("damaged"), "running 0");
  await daemon.ok("rm", "-f", "damaged");
});

test("checkpoint: a crafted one brings nothing along and leads nowhere", { skip }, async () => {
  await run("crafted");
  await daemon.ok("checkpoint", "create", "--leave-running", "crafted", "point");
  const id = await daemon.ok("inspect", "-f", "{{.Id}}", "crafted");
  const point = join(daemon.dataRoot, "containers", id, "checkpoints/point");
  const surroundings = "cut -d' ' -f5 /proc/1/mountinfo | sort; ls /dev; grep -E 'Cap|Seccomp' /proc/1/status";
  const seen = async () => [
    await daemon.ok("exec", "crafted", "sh", "-c", surroundings),
    await daemon.ok("inspect", "-f", "{{json .HostConfig}} {{json .Config}} {{json .Mounts}}", "crafted"),
    await daemon.ok("images", "--no-trunc", "-q"),
  ];
  const before = await seen();
  await daemon.ok("kill", "crafted");

  const root = { destination: "/host", type: "bind", source: "/", options: ["rbind"] };
  const device = { path: "/dev/taken", type: "c", major: 1, minor: 1 };
  const config = { mounts: [root], linux: { devices: [device], namespaces: [] }, image: "stolen:latest" };
  for (const name of ["config.json", "config.dump", "spec.dump", "network.status", "rootfs-diff.tar"])
    writeFileSync(join(point, name), JSON.stringify(config));
  const descriptors = join(point, "descriptors.json");
  const streams = JSON.parse(readFileSync(descriptors, "utf8"));
  writeFileSync(descriptors, JSON.stringify([...streams, "pipe:[1]", "/etc/shadow", { fd: 4 }]));
  await daemon.ok("start", "--checkpoint", "point", "crafted");
  await counts("crafted", 1);
  assert.deepEqual(await seen(), before);
  await daemon.ok("kill", "crafted");

  const outside = join(daemon.folder, "outside");
  const isRefused = async (why: string) => {
    const { stderr } = await daemon.docker(["start", "--checkpoint", "point", "crafted"]);
    assert.ok(stderr.includes(`checkpoint point of container /crafted cannot be used: ${why}\n`), stderr);
  };
  symlinkSync(outside, join(point, "restore.log"));
  await isRefused("restore.log is not a regular file");
  rmSync(join(point, "restore.log"));
  for (const name of ["pages-1.img", "descriptors.json"]) {
    renameSync(join(point, name), outside);
    symlinkSync(outside, join(point, name));
    await isRefused(`${name} is not a regular file`);
    renameSync(outside, join(point, name));
  }
  renameSync(point, outside);
  symlinkSync(outside, point);
  await isRefused("it is a symbolic link");
  await daemon.ok("checkpoint", "rm", "crafted", "point");
  assert.ok(existsSync(join(outside, "pages-1.img")));
  await daemon.ok("rm", "crafted");
});

test("checkpoint: refusals are dockerd's", { skip }, async () => {
  await daemon.ok("create", "--name", "idle", "busybox", "true");
  await run("busy");
  const [idle, busy] = await Promise.all(["idle", "busy"].map((name) => daemon.ok("inspect", "-f", "{{.Id}}", name)));
  const refused: [string, string, object | undefined, number, string][] = [
    ["GET", "/containers/ghost/checkpoints", undefined, 404, "No such container: ghost"],
    ["GET", "/containers/idle/checkpoints?dir=/none", undefined, 500, "checkpoint  does not exist for container idle"],
    ["POST", "/containers/idle/checkpoints", { CheckpointID: "one" }, 409, `container ${idle} is not running`],
    [
      "POST",
      "/containers/busy/checkpoints",
      {},
      500,
      "Invalid checkpoint ID (), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
    ],
    [
      "POST",
      "/containers/busy/checkpoints",
      { CheckpointID: "../x" },
      500,
      "Invalid checkpoint ID (../x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
    ],
    ["DELETE", "/containers/busy/checkpoints/one", undefined, 500, "checkpoint one does not exist for container busy"],
    [
      "POST",
      "/containers/idle/start?checkpoint=../x",
      undefined,
      500,
      "checkpoint ../x does not exist for container /idle",
    ],
    [
      "POST",
      "/containers/idle/start?checkpoint=one",
      undefined,
      500,
      "checkpoint one does not exist for container /idle",
    ],
    [
      "POST",
      "/containers/idle/start?checkpoint=one&checkpoint-dir=/tmp",
      undefined,
      403,
      "custom checkpointdir is not supported",
    ],
  ];
  for (const [method, path, body, code, message] of refused)
    assert.deepEqual(await answer(method, path, body), [code, { message }], `${method} ${path}`);
  assert.deepEqual(await answer("GET", "/containers/busy/checkpoints"), [200, []]);
  assert.deepEqual(await answer("POST", `/containers/${busy}/start?checkpoint=one`), [304, ""]);
  assert.equal(await status("idle"), "created 128");
  await daemon.ok("rm", "-f", "idle", "busy");
});

test("checkpoint: without --experimental it is refused in dockerd's words", async () => {
  await using plain = await startDaemon({ hasBusybox: false });
  const message =
    "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it.";
  const listed = await plain.http.get("/containers/any/checkpoints");
  assert.deepEqual([listed.status, listed.json()], [501, { message }]);
  const started = await plain.http.post("/containers/any/start?checkpoint=one");
  assert.deepEqual(
    [started.status, started.json()],
    [400, { message: "checkpoint is only supported in experimental mode" }],
  );
});
