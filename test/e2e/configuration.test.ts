/* daemon.json, SIGHUP and sockets of systemd's: what dockerd 28.5.2 does with the same. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { lineOf } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";

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

const unusable = [
  [{ bad: 1 }, "the following directives don't match any configuration option: bad"],
  [{ labels: ["x=y"], "default-runtime": "nope" }, "specified default runtime 'nope' does not exist"],
  [{ labels: ["x=y"], hosts: ["unix:///x"] }, "the following directives are specified both as a flag and in the"],
  [{ labels: ["x=y"], "max-concurrent-downloads": -1 }, "invalid max concurrent downloads: -1"],
  [{ labels: ["x=y"], "registry-mirrors": ["ftp://x"] }, "unsupported scheme"],
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
