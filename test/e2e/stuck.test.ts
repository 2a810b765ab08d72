/** File systems that never answer, under some containers: the others must not notice. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { MNT_DETACH, umount2 } from "#native";
import { must } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";
import { stuckFileSystem } from "#test/stuck-file-system";

/** A folder from which mounts travel into containers that have it as a slave. */
async function sharedFolder(daemon: Daemon, name: string): Promise<Disposable & { readonly path: string }> {
  const path = join(daemon.folder, name);
  mkdirSync(join(path, "far"), { recursive: true });
  await must(["mount", "--bind", path, path]);
  await must(["mount", "--make-shared", path]);
  return { path, [Symbol.dispose]: () => umount2(path, MNT_DETACH) };
}

test("stuck: disks that do not answer hold up only who asks for what is on them", async () => {
  await using daemon = await startDaemon();
  using base = await sharedFolder(daemon, "base");
  using etc = await sharedFolder(daemon, "etc");
  const far = join(base.path, "far");
  const binds = ["-v", `${base.path}:/data:rslave`, "-v", `${etc.path}:/etc:rslave`];
  await daemon.ok("run", "-d", "--name", "stuck", ...binds, "busybox", "sleep", "1000");
  await daemon.ok("run", "-d", "--name", "free", "busybox", "sleep", "1000");
  await daemon.ok("create", "--name", "below", "-v", `${far}/sub:/x`, "busybox");
  await daemon.ok("create", "--name", "nested", "-v", `${base.path}:/x`, "-v", `${daemon.folder}:/x/far/y`, "busybox");
  const volume = (name: string, device: string) =>
    daemon.ok("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", `device=${device}`, name);
  await volume("dead", `${far}/volume`);
  await volume("half", base.path);
  let started = 0;
  const waiting: Promise<unknown>[] = [];
  {
    using _far = stuckFileSystem(far);
    using _etc = stuckFileSystem(etc.path);
    const ask = (...argv: string[]) => waiting.push(daemon.docker(argv));
    ask("cp", "stuck:/data/far/file", daemon.folder);
    ask("cp", join(daemon.folder, "daemon.json"), "stuck:/data/far/");
    ask("cp", "below:/x/file", daemon.folder);
    ask("cp", "nested:/x/file", daemon.folder);
    ask("exec", "stuck", "true");
    ask("run", "--rm", "-v", "dead:/x", "busybox", "true");
    ask("run", "--rm", "--mount", "type=volume,src=half,dst=/x,volume-subpath=far/z", "busybox", "true");
    ask("run", "--rm", "--mount", `type=bind,src=${far}/b,dst=/x`, "busybox", "true");
    ask("run", "--rm", "-v", `${far}:/x`, "busybox", "true");
    // More than there are threads.
    for (let n = 0; n < 40; n++) {
      const HostConfig = { Binds: [`${far}/${n}:/x`], AutoRemove: true };
      const created = await daemon.http.post("/containers/create", { Image: "busybox", HostConfig });
      const path = `/containers/${/[0-9a-f]{64}/.exec(created.text)?.[0]}/start`;
      waiting.push(daemon.http.post(path).finally(() => started++));
    }
    assert.equal(await daemon.ok("exec", "free", "echo", "on"), "on");
    assert.equal(
      await daemon.ok("run", "--rm", "-v", `${daemon.folder}:/x`, "-v", "/y", "busybox", "echo", "on"),
      "on",
    );
    await daemon.ok("run", "--rm", "-v", `${daemon.folder}/new:/x`, "busybox", "true");
    await daemon.ok("cp", "free:/etc/passwd", join(daemon.folder, "passwd"));
    await daemon.ok("stop", "-t", "0", "free");
    await daemon.ok("cp", "free:/etc/passwd", join(daemon.folder, "passwd"));
    await daemon.ok("start", "free");
    assert.equal(await daemon.ok("ps", "-q", "-f", "name=stuck").then((id) => id.length), 12);
    assert.equal(started, 0, "a disk answered");
  }
  await Promise.all(waiting);
  await daemon.ok("rm", "-f", "stuck", "free", "below", "nested");
});

test("stuck: what cannot start again holds up no other, and takes no container of a client's for one of its own", async () => {
  await using daemon = await startDaemon();
  using base = await sharedFolder(daemon, "base");
  const far = join(base.path, "far");
  const back = ["run", "-d", "--restart", "always", "--stop-timeout", "0"];
  await daemon.ok(...back, "--name", "stuck", "-v", `${far}:/x`, "busybox", "sleep", "1000");
  const names = ["one", "two", "three", "four"];
  for (const name of names) await daemon.ok(...back, "--name", name, "busybox", "sleep", "1000");
  await daemon.ok(...back, "--name", "guest", "--network", "container:four", "busybox", "sleep", "1000");
  await daemon.stop();
  const isUp = async (name: string) => {
    const { stdout } = await daemon.docker(["inspect", "-f", "{{.State.Running}}", name]);
    return stdout.startsWith("true");
  };
  {
    using _far = stuckFileSystem(far);
    await daemon.start();
    for (const name of [...names, "guest"]) while (!(await isUp(name))) await daemon.ok("ps");
    await daemon.ok("create", "--rm", "--name", "fresh", "busybox", "true");
    assert.equal(await isUp("stuck"), false);
  }
  while (!/cannot start a container|ENOTCONN/.test(daemon.log) && !(await isUp("stuck"))) await daemon.ok("ps");
  await daemon.ok("start", "-a", "fresh");
  await daemon.ok("rm", "-f", "stuck");
});

test("stuck: the daemon ends while a thread of it waits for a disk", async () => {
  await using daemon = await startDaemon();
  using base = await sharedFolder(daemon, "base");
  const far = join(base.path, "far");
  await daemon.ok("create", "--name", "below", "-v", `${far}/sub:/x`, "busybox");
  using _far = stuckFileSystem(far);
  const copy = daemon.http.get("/containers/below/archive?path=/x").catch(() => undefined);
  // Sent after it, and answered from the main thread.
  assert.equal((await daemon.http.get("/_ping")).status, 200);
  await daemon.restart();
  await copy;
});

/** What reads, of a daemon with a container of that name. */
async function assertAnswers(daemon: Daemon, name: string): Promise<void> {
  const of = (path: string) => `/containers/${name}/${path}`;
  const paths = [
    ...["/_ping", "/info", "/system/df", "/events?since=0&until=1", "/networks", "/volumes", "/images/json"],
    ...["/containers/json?all=1&size=1", of("json?size=1"), of("logs?stdout=1&tail=1"), of("top"), of("changes")],
    ...[of("stats?stream=0"), of("stats?stream=0&one-shot=1"), of("archive?path=/bin/busybox")],
  ];
  const replies = await Promise.all(paths.map(async (path) => [path, (await daemon.http.get(path)).status]));
  assert.deepEqual(
    replies,
    paths.map((path) => [path, 200]),
  );
}

test("stuck: a shim and a relay that are stopped say so to who needs them, and hold up nobody else", async () => {
  await using daemon = await startDaemon();
  await daemon.ok("network", "create", "net");
  await daemon.ok("run", "-d", "--name", "frozen", "busybox", "sleep", "1000");
  await daemon.ok("run", "-d", "--name", "free", "busybox", "sleep", "1000");
  const pid = await daemon.ok("inspect", "-f", "{{.State.Pid}}", "frozen");
  const shim = Number((await readFile(`/proc/${pid}/stat`, "utf8")).split(" ")[3]);
  const relay = Number(await must(["pgrep", "-f", `^[^ ]*minirelay ${daemon.execRoot}`]));
  for (const stopped of [shim, relay]) process.kill(stopped, "SIGSTOP");
  const late = Promise.all([
    daemon.docker(["exec", "frozen", "true"]),
    daemon.docker(["run", "--rm", "--network", "net", "busybox", "true"]),
    daemon.docker(["kill", "-s", "USR1", "frozen"]),
  ]);
  await assertAnswers(daemon, "frozen");
  assert.equal(await daemon.ok("exec", "free", "echo", "on"), "on");
  assert.equal(await daemon.ok("run", "--rm", "busybox", "echo", "on"), "on");
  const [exec, run, kill] = await late;
  assert.match(exec.stdout, /the shim has not answered exec-create within 10 s/);
  assert.match(run.stderr, /minirelay has not answered within 10 s/);
  assert.match(kill.stderr, /the shim has not answered kill within 10 s/);
  for (const stopped of [shim, relay]) process.kill(stopped, "SIGCONT");
  assert.equal(await daemon.ok("exec", "frozen", "echo", "on"), "on");
  assert.equal(await daemon.ok("run", "--rm", "--network", "net", "busybox", "echo", "on"), "on");
});

test("stuck: a relay that is stopped is replaced when the daemon starts, and its ports are held as before", async () => {
  await using daemon = await startDaemon();
  await daemon.ok("network", "create", "net");
  const named = ["--network", "net", "--network-alias", "box", "-p", "127.0.0.1:8080:80"];
  await daemon.ok("run", "-d", "--name", "free", ...named, "busybox", "sleep", "1000");
  const relays = () => must(["pgrep", "-f", `^[^ ]*minirelay ${daemon.execRoot}`]);
  const stopped = await relays();
  process.kill(Number(stopped), "SIGSTOP");
  await daemon.kill();
  await daemon.start();
  assert.notEqual(await relays(), stopped);
  assert.match(await daemon.ok("exec", "free", "nslookup", "box"), /Name:\s+box\s+Address: 10\./);
  assert.match(await daemon.inNetwork("ss", "-Hltn"), /127\.0\.0\.1:8080/);
});

test("stuck: clients that do not read what they asked for hold up nobody else", async () => {
  await using daemon = await startDaemon();
  await daemon.ok("run", "-d", "--name", "noisy", "busybox", "yes");
  await daemon.ok("run", "-d", "--name", "free", "busybox", "sleep", "1000");
  const of = (path: string) => `GET /containers/noisy/${path}`;
  const streams = [
    ...["GET /events?since=0", "GET /images/busybox/get", of("logs?stdout=1&follow=1"), of("stats"), of("export")],
    ...[of("archive?path=/"), "POST /containers/noisy/attach?stream=1&stdout=1"],
  ];
  const clients: Socket[] = [];
  // More of each than there are threads.
  for (let n = 0; n < 40 * streams.length; n++) {
    const client = daemon.http.connect();
    clients.push(client.pause());
    client.write(`${streams[n % streams.length]} HTTP/1.1\r\nHost: x\r\n\r\n`);
  }
  try {
    await assertAnswers(daemon, "free");
    assert.equal(await daemon.ok("exec", "noisy", "echo", "on"), "on");
    assert.equal(await daemon.ok("run", "--rm", "busybox", "echo", "on"), "on");
  } finally {
    for (const client of clients) client.destroy();
  }
});
