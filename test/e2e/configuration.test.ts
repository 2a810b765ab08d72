/* daemon.json, SIGHUP and sockets of systemd's: what dockerd 28.5.2 does with the same. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import {
  AF_UNIX,
  bind,
  getsockname,
  inetAddress,
  listen,
  portOf,
  recv,
  SOCK_DGRAM,
  SOCK_STREAM,
  socket,
  unixAddress,
} from "#native";
import { lineOf, must, run, stop } from "#test/command";
import { type Daemon, launchEnvironment, packageRoot, startDaemon } from "#test/daemon";
import { HttpClient } from "#test/http";

class Reloads implements AsyncDisposable {
  readonly #daemon: Daemon;
  readonly #events: ReturnType<Daemon["spawnDocker"]>;
  readonly #lines: AsyncIterator<string>;

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
    const since = String(Math.floor(Date.now() / 1000) - 1);
    this.#events = daemon.spawnDocker([
      ...["events", "--since", since, "--filter", "type=daemon", "--format", "{{json .Actor.Attributes}}"],
    ]);
    assert.ok(this.#events.stdout);
    this.#lines = createInterface(this.#events.stdout)[Symbol.asyncIterator]();
  }

  /** The attributes of the event that follows. */
  async reload(config: object): Promise<Record<string, string>> {
    writeFileSync(join(this.#daemon.folder, "daemon.json"), JSON.stringify(config));
    process.kill(this.#daemon.pid, "SIGHUP");
    const { value } = await this.#lines.next();
    return JSON.parse(value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#events.kill();
    await once(this.#events, "exit");
  }
}

test("reload: what may change changes, is told, and stays when the file does not name it any more", async () => {
  await using daemon = await startDaemon({ hasBusybox: false, args: ["--max-concurrent-uploads", "2"] });
  await using reloads = new Reloads(daemon);
  const before = await reloads.reload({});
  assert.deepEqual(
    { ...before, name: "", "default-cgroupns-mode": "" },
    {
      debug: "false",
      "default-cgroupns-mode": "",
      "default-ipc-mode": "private",
      "default-runtime": "runc",
      "default-shm-size": "67108864",
      features: "map[]",
      "insecure-registries": "[]",
      labels: "[]",
      "live-restore": "false",
      "max-concurrent-downloads": "3",
      "max-concurrent-uploads": "2",
      "max-download-attempts": "5",
      name: "",
      "registry-mirrors": "[]",
      runtimes: "",
      "shutdown-timeout": "15",
    },
  );

  const changed = await reloads.reload({
    labels: ["a=c"],
    debug: true,
    "max-concurrent-downloads": 7,
    features: { x: true, b: false },
    "insecure-registries": ["1.2.3.4:5", "10.0.0.0/8"],
    "registry-mirrors": ["https://m.x"],
    "live-restore": true,
    runtimes: { aa: { path: "minirun" } },
    "shutdown-timeout": 3,
  });
  assert.equal(changed.features, "map[b:false x:true]");
  assert.equal(changed["max-concurrent-downloads"], "7");
  assert.equal(changed.runtimes, "aa:minirun");
  const info = JSON.parse(await daemon.ok("info", "--format", "{{json .}}"));
  assert.deepEqual(info.Labels, ["a=c"]);
  assert.equal(info.Debug, true);
  assert.equal(info.LiveRestoreEnabled, true);
  assert.ok("aa" in info.Runtimes);
  assert.deepEqual(info.RegistryConfig.Mirrors, ["https://m.x/"]);
  assert.deepEqual(info.RegistryConfig.InsecureRegistryCIDRs, ["10.0.0.0/8", "::1/128", "127.0.0.0/8"]);
  assert.ok("1.2.3.4:5" in info.RegistryConfig.IndexConfigs);
  assert.match(daemon.log, /level=debug/);

  const after = await reloads.reload({});
  assert.equal(after.labels, '["a=c"]');
  assert.equal(after["max-concurrent-downloads"], "3");
  assert.equal(after["max-concurrent-uploads"], "2");
  assert.equal(after.features, "map[]");
});

test("proxies: that the environment says something else is told, and no log shows their passwords", async () => {
  const proxy = "http://me:secret@p.invalid";
  await using daemon = await startDaemon({
    hasBusybox: false,
    args: ["--http-proxy", proxy],
    env: { HTTP_PROXY: "http://me:secret@b:secret@e.invalid", http_proxy: proxy },
  });
  await using reloads = new Reloads(daemon);
  await reloads.reload({});
  do assert.equal(await daemon.ok("info", "--format", "{{.HTTPProxy}}"), "http://xxxxx:xxxxx@p.invalid");
  while (!daemon.log.includes("Reloaded configuration"));
  const lines = daemon.log.split("\n");
  const overriding = lines.filter((line) => line.includes("overriding existing proxy variable"));
  assert.equal(overriding.length, 1);
  assert.match(
    overriding[0] ?? "",
    /name=HTTP_PROXY old-value="http:\/\/xxxxx:xxxxx@e\.invalid" new-value="http:\/\/xxxxx:xxxxx@p\.invalid"/,
  );
  assert.match(daemon.log, /msg="Reloaded configuration" config=.*xxxxx:xxxxx@p\.invalid/);
  assert.doesNotMatch(daemon.log, /secret/);
});

const unusable = [
  [{ bad: 1 }, "the following directives don't match any configuration option: bad"],
  [{ labels: ["x=y"], "default-runtime": "nope" }, "specified default runtime 'nope' does not exist"],
  [{ labels: ["x=y"], hosts: ["unix:///x"] }, "the following directives are specified both as a flag and in the"],
  [{ labels: ["x=y"], "max-concurrent-downloads": -1 }, "invalid max concurrent downloads: -1"],
  [{ labels: ["x=y"], "registry-mirrors": ["ftp://x"] }, "unsupported scheme"],
  [{ labels: ["x=y"], "authorization-plugins": ["guard"] }, "failed to validate authorization plugin"],
] as const;

test("reload: a file that cannot be used is told, and changes nothing", async () => {
  await using daemon = await startDaemon({ hasBusybox: false });
  const log = spawn("tail", ["-n", "+1", "-f", daemon.logFile]);
  using _ = { [Symbol.dispose]: () => log.kill() };
  for (const [config, reason] of unusable) {
    const told = lineOf(log, new RegExp(`Error reloading configuration.*${reason}`));
    writeFileSync(join(daemon.folder, "daemon.json"), JSON.stringify(config));
    process.kill(daemon.pid, "SIGHUP");
    await told;
  }
  assert.equal(await daemon.ok("info", "--format", "{{len .Labels}}"), "0");
});

test("SIGUSR1 opens no debugger, SIGUSR2 writes a report, and neither ends the daemon", async () => {
  await using daemon = await startDaemon({ hasBusybox: false });
  process.kill(daemon.pid, "SIGUSR1");
  process.kill(daemon.pid, "SIGUSR2");
  const reports = () => readdirSync(daemon.execRoot).filter((name) => name.startsWith("report-"));
  while (reports().length === 0) await daemon.ok("ps");
  assert.equal(await daemon.inNetwork("ss", "-Hltn"), "");
});

/** What systemd does for a socket unit: listens, and starts the service with the sockets from descriptor 3 on. */
function startActivated(folder: string, host: string, sockets: readonly number[]): ChildProcess {
  const flags = [
    ...["--data-root", join(folder, "data"), "--exec-root", join(folder, "exec"), "--pidfile", join(folder, "pid")],
    ...["--config-file", join(folder, "daemon.json"), "--bridge", "none", "--iptables=false", "--ip-forward=false"],
  ];
  const script = `LISTEN_PID=$$ LISTEN_FDS=${sockets.length} exec "$0" "$@"`;
  return spawn("sh", ["-c", script, join(packageRoot, "bin", "minidockd"), ...flags, "-H", host], {
    stdio: ["ignore", "pipe", "pipe", ...sockets],
    env: { ...process.env, ...launchEnvironment },
  });
}

/** A listening socket that nobody here accepts from. */
function listening(address: Buffer): number {
  const family = address.readUInt16LE(0);
  const fd = socket(family, SOCK_STREAM);
  bind(fd, address);
  listen(fd, 16);
  return fd;
}

test("fd://: the sockets that systemd opened are served, and only those that are asked for", async () => {
  const folder = mkdtempSync("/var/tmp/mdt-activated-");
  writeFileSync(join(folder, "daemon.json"), "{}");
  const first = listening(unixAddress(join(folder, "a")));
  const second = listening(unixAddress(join(folder, "b")));
  const loopback = listening(inetAddress("127.0.0.1", 0));
  const open = listening(inetAddress("0.0.0.0", 0));
  try {
    const child = startActivated(folder, "fd://", [first, loopback]);
    await lineOf(child, /API listen/);
    assert.equal((await new HttpClient(join(folder, "a")).send("GET", "/_ping")).text, "OK");
    const url = `http://127.0.0.1:${portOf(getsockname(loopback))}/_ping`;
    assert.equal(await must(["curl", "-s", url]), "OK");
    assert.match(await must(["curl", "-s", "-H", "Host: rebound.example", url]), /host rebound.example is not served/);
    await stop(child);
    // A socket of systemd's stays where it is for the next start.
    assert.ok(existsSync(join(folder, "a")));

    const chosen = startActivated(folder, "fd://4", [first, second]);
    await lineOf(chosen, /API listen/);
    assert.equal((await new HttpClient(join(folder, "b")).send("GET", "/_ping")).text, "OK");
    await stop(chosen);

    for (const [host, sockets, reason] of [
      ["fd://", [], "no sockets found via socket activation: make sure the service was started by systemd"],
      ["fd://7", [first], "too few socket activated files passed in by systemd"],
      ["fd://x", [first], "failed to parse systemd fd address: should be a number: x"],
      ["fd://", [open], "refusing to listen on fd://3 without --tlsverify"],
    ] as const) {
      await lineOf(startActivated(folder, host, sockets), new RegExp(reason));
    }
  } finally {
    for (const fd of [first, second, loopback, open]) closeSync(fd);
    rmSync(folder, { recursive: true });
  }
});

test("Type=notify: systemd is told when the engine is ready", async () => {
  const folder = mkdtempSync("/var/tmp/mdt-notify-");
  const fd = socket(AF_UNIX, SOCK_DGRAM);
  try {
    bind(fd, unixAddress(join(folder, "n")));
    await using _ = await startDaemon({ hasBusybox: false, env: { NOTIFY_SOCKET: join(folder, "n") } });
    const message = Buffer.alloc(64);
    assert.equal(message.toString("utf8", 0, recv(fd, message)), "READY=1");
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
});

test("options that somebody relies on and that cannot be served stop the start, before anything is made", async () => {
  const folder = mkdtempSync("/var/tmp/mdt-unserved-");
  const paths = [
    "--data-root",
    join(folder, "d"),
    "--exec-root",
    join(folder, "e"),
    "-H",
    `unix://${join(folder, "s")}`,
  ];
  try {
    for (const [flags, reason] of [
      [["--userns-remap", "a:b:c"], /Invalid user\/group specification in --userns-remap: "a:b:c"/],
      [["--userns-remap", "nobodyknows"], /Error during uid lookup for "nobodyknows": getent unable to find entry/],
      [["--userns-remap", "4242424"], /Uid 4242424 has no entry in \/etc\/passwd/],
      [["--userns-remap", "daemon:nogroupknows"], /Error during groupname lookup for "nogroupknows"/],
      [["--group", "nosuch"], /failed to load listeners: group nosuch not found/],
      [["--authorization-plugin", "guard"], /failed to validate authorization plugin: plugin "guard" not found/],
      [["--storage-opt", "overlay2.size=1G"], /overlay2\.size is not supported/],
      [["--storage-opt", "dm.basesize=1G"], /overlay2: unknown option dm\.basesize/],
      [["--exec-opt", "native.cgroupdriver=systemd"], /native\.cgroupdriver=systemd is not supported/],
    ] as const) {
      const minidockd = join(packageRoot, "bin", "minidockd");
      const { status, stderr } = await run([minidockd, ...paths, ...flags], { env: launchEnvironment });
      assert.equal(status, 1);
      assert.match(stderr, reason);
      assert.deepEqual(readdirSync(folder), []);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("--metrics-addr: dockerd's figures for Prometheus; and what has no effect is told", async () => {
  await using daemon = await startDaemon({ args: ["--metrics-addr", "127.0.0.1:9323", "--raw-logs"] });
  assert.match(daemon.log, /level=warn\w* msg="options that mean nothing to this engine" options="\[\\"raw-logs\\"\]"/);
  await daemon.ok("run", "-d", "busybox", "sleep", "1000");
  const stdout = await must([...daemon.network.prefix, "curl", "-sf", "http://127.0.0.1:9323/metrics"]);
  assert.match(stdout, /^engine_daemon_container_states_containers\{state="running"\} 1$/m);
  assert.match(stdout, /^engine_daemon_engine_info\{architecture="[^"]+",commit="[^"]+",daemon_id="[^"]+",.*\} 1$/m);
  assert.match(stdout, /^engine_daemon_events_total [1-9]\d*$/m);
  for (const text of stdout.trim().split("\n")) assert.match(text, /^(# (HELP|TYPE) \w+ .+|\w+(\{.*\})? [\d.]+)$/);
});
