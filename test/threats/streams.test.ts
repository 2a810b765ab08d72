/** THREATS C2 and C4: streams that nobody reads, logs and secrets that somebody else does. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { must, run } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";
import { Outside } from "./rig.ts";

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon({ args: ["--debug", "--log-level", "debug"] });
});
after(() => daemon[Symbol.asyncDispose]());

/** THREAT_CLIENTS=10000 for an evening. */
const clients = Number(process.env.THREAT_CLIENTS ?? 300);

const residentKiB = (pid: number) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
const shimOf = async (name: string): Promise<number> => {
  const pid = await daemon.ok("inspect", "-f", "{{.State.Pid}}", name);
  return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
};

/** One that asks for a stream, waits until it has begun, and never reads a byte of it. */
async function abandoned(path: string): Promise<Socket> {
  const socket = daemon.http.connect();
  socket.pause();
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.write(`POST ${path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`);
  await once(socket, "readable");
  return socket;
}

test("CVE-2022-23471, CVE-2025-64329: attaches that are abandoned leave nothing behind, in the daemon or the shim", async () => {
  await daemon.ok("run", "-d", "-i", "--name", "talker", "busybox", "sh", "-c", "while echo line; do sleep 0.01; done");
  const shim = await shimOf("talker");
  const round = async () => {
    for (let done = 0; done < clients; done += 100) {
      const path = "/containers/talker/attach?stream=1&stdin=1&stdout=1&stderr=1&logs=1";
      const sockets = await Promise.all(Array.from({ length: 100 }, () => abandoned(path)));
      for (const socket of sockets) socket.destroy();
    }
    // The last of them is certainly seen before this is answered.
    await daemon.ok("exec", "talker", "true");
  };
  const open = () => [daemon.pid, shim].map((pid) => readdirSync(`/proc/${pid}/fd`).length);
  await round();
  const before = { resident: [daemon.pid, shim].map(residentKiB), open: open() };
  await round();
  await round();
  const settled = async () => {
    for (let tries = 0; tries < 200 && open().some((now, i) => now > (before.open[i] ?? 0) + 5); tries++) {
      await daemon.ok("exec", "talker", "true");
    }
    return open();
  };
  for (const [i, now] of (await settled()).entries()) assert.ok(now <= (before.open[i] ?? 0) + 5, `${now} descriptors`);
  assert.ok(residentKiB(daemon.pid) < (before.resident[0] ?? 0) + 64_000, `daemon: ${residentKiB(daemon.pid)} KiB`);
  assert.ok(residentKiB(shim) < (before.resident[1] ?? 0) + 1000, `shim: ${residentKiB(shim)} KiB`);
  await daemon.ok("rm", "-f", "talker");
});

test("CVE-2017-14992, CVE-2022-31030: what writes without end to those that do not read costs nobody memory", async () => {
  const log = ["--log-opt", "max-size=10m", "--log-opt", "mode=non-blocking"];
  await daemon.ok(
    "run",
    "-d",
    "--name",
    "writer",
    ...log,
    "busybox",
    "sh",
    "-c",
    "cat > /dev/null < /dev/zero & exec yes",
  );
  await daemon.ok("run", "-d", "--name", "idle", "busybox", "sleep", "1000");
  const shims = [await shimOf("writer"), await shimOf("idle")];
  const execs = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const body = { AttachStdout: true, AttachStderr: true, Cmd: ["yes", "x".repeat(4000)] };
      const { Id: id } = Object((await daemon.http.post("/containers/idle/exec", body)).json());
      const socket = daemon.http.connect();
      socket.pause();
      const start = '{"Detach":false}';
      const head = `POST /exec/${id}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: ${start.length}\r\n\r\n`;
      socket.write(head + start);
      return socket;
    }),
  );
  const attach = "/containers/writer/attach?stream=1&stdout=1&stderr=1";
  const follow = "/containers/writer/logs?follow=1&stdout=1&tail=10";
  const readers = [...execs, await abandoned(attach), await abandoned(attach)];
  const follower = daemon.http.connect();
  follower.pause();
  follower.write(`GET ${follow} HTTP/1.1\r\nHost: d\r\n\r\n`);
  // Until every buffer on the way must be full, and again as long.
  const work = () =>
    daemon.ok("run", "--rm", "busybox", "sh", "-c", "dd if=/dev/zero bs=1M count=2000 of=/dev/null 2>/dev/null");
  await work();
  const before = [daemon.pid, ...shims].map(residentKiB);
  for (let round = 0; round < 3; round++) await work();
  for (const [i, pid] of [daemon.pid, ...shims].entries()) {
    const [was = 0, is] = [before[i], residentKiB(pid)];
    assert.ok(is < was + (i === 0 ? 40_000 : 2000), `${i === 0 ? "daemon" : "shim"}: ${was} KiB, then ${is} KiB`);
  }
  assert.equal(await daemon.ok("exec", "writer", "echo", "alive"), "alive");
  for (const socket of [...readers, follower]) socket.destroy();
  await daemon.ok("rm", "-f", "writer", "idle");
});

test("CVE-2026-53489: a link in a log's place is neither read nor written through, before and after a rotation", async () => {
  const outside = new Outside(
    daemon,
    `{"log":"${Outside.secret}\\n","stream":"stdout","time":"2026-01-01T00:00:00Z"}\n`,
  );
  const create = ["create", "--name", "log", "--log-opt", "max-size=1k", "--log-opt", "max-file=3"];
  const id = await daemon.ok(...create, "busybox", "sh", "-c", "i=0; while [ $((i=i+1)) -lt 200 ]; do echo $i; done");
  const folder = join(daemon.dataRoot, "containers", id);
  mkdirSync(folder, { recursive: true });
  const names = [`${id}-json.log`, `${id}-json.log.1`, `${id}-json.log.2`, `${id}-json.log.1.gz`];
  for (const name of names) symlinkSync(join(outside.path, "secret"), join(folder, name));
  assert.ok(!(await daemon.http.get(`/containers/${id}/logs?stdout=1`)).text.includes(Outside.secret));
  await daemon.docker(["start", "-a", "log"]);
  assert.ok(!(await daemon.http.get(`/containers/${id}/logs?stdout=1`)).text.includes(Outside.secret));
  assert.ok(outside.isUntouched);
  for (const name of names) rmSync(join(folder, name), { force: true });
  await daemon.ok("rm", "-f", "log");
});

test("CVE-2021-41091, CVE-2024-25621: nobody but root gets into the engine's folders, nor to its sockets", async () => {
  await daemon.ok("run", "-d", "--name", "running", "-v", "vol:/v", "busybox", "sleep", "1000");
  const asNobody = (command: string) =>
    run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", command]).then(
      ({ status }) => status,
    );
  const { dataRoot, execRoot } = daemon;
  await must(["chmod", "755", daemon.folder]);
  for (const folder of [dataRoot, execRoot]) {
    assert.notEqual(await asNobody(`ls ${folder}`), 0, folder);
    assert.notEqual(await asNobody(`cd ${folder} && ls snapshots containers volumes content`), 0, folder);
  }
  const reachable = await must(["find", dataRoot, execRoot, "-maxdepth", "1", "-perm", "/o+rwx", "!", "-type", "l"]);
  const expected = [/\/volumes$/, /\.db(-wal|-shm)?$/];
  assert.deepEqual(
    reachable.split("\n").filter((path) => path !== "" && !expected.some((known) => known.test(path))),
    [],
  );
  assert.notEqual(await asNobody(`curl -sf --unix-socket ${daemon.socket} http://d/_ping`), 0);
  assert.equal(await must(["find", execRoot, "-type", "s", "-perm", "/go+rwx"]), "");
  await must(["chmod", "700", daemon.folder]);
  await daemon.ok("rm", "-f", "running");
});

test("CVE-2019-13509: passwords, tokens and environments are in no log, however much is logged", async () => {
  const secret = "s3cr3t-of-the-user";
  const encoded = Buffer.from(JSON.stringify({ username: "u", password: secret, identitytoken: secret })).toString(
    "base64",
  );
  const config = Buffer.from(JSON.stringify({ "r.test": { username: "u", password: secret } })).toString("base64");
  const headers = { "X-Registry-Auth": encoded, "X-Registry-Config": config, "Content-Type": "application/json" };
  const { http } = daemon;
  await http.post("/images/create?fromImage=127.0.0.1:1/x&tag=y", "", headers);
  await http.post("/images/busybox/push?tag=latest", "", headers);
  await http.post("/auth", { username: "u", password: secret, serveraddress: "127.0.0.1:1" });
  await http.post(
    `/build?remote=http://127.0.0.1:1/&buildargs=${encodeURIComponent(`{"A":"${secret}"}`)}`,
    "",
    headers,
  );
  await http.post("/containers/create", { Image: "nosuch", Env: [`A=${secret}`] }, headers);
  await http.post("/containers/create", `{"Image":"busybox","Env":["A=${secret}"`, headers);
  await daemon.docker(["run", "--rm", "-e", `A=${secret}`, "busybox", "nosuch"]);
  await daemon.ok("run", "-d", "--name", "quiet", "-e", `A=${secret}`, "busybox", "sleep", "1000");
  await daemon.ok("exec", "-e", `B=${secret}`, "quiet", "true");
  await daemon.docker(["exec", "-e", `B=${secret}`, "quiet", "nosuch"]);
  await daemon.docker(["login", "-u", "u", "-p", secret, "127.0.0.1:1"]);
  for (const text of [secret, encoded, config]) assert.ok(!daemon.log.includes(text), text);
  assert.match(daemon.log, /level=debug/);
  const events = await http.get(`/events?since=1&until=${Math.ceil(Date.now() / 1000)}`);
  assert.ok(!events.text.includes(secret));
  const { stdout } = await run(["sh", "-c", `cat /proc/[0-9]*/cmdline | tr '\\0' ' '`]);
  assert.ok(!stdout.includes(encoded));
  await daemon.ok("rm", "-f", "quiet");
});
