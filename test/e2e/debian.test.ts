import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { debianTar, lineServer } from "#test/busybox";
import { lineOf, must } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";
import { freePort } from "#test/network-place";
import { type Registry, startRegistry } from "#test/registry";

/** A real distribution, pushed by another tool, with the world outside. */
let daemon: Daemon;
let registry: Registry;
let image: string;
before(async () => {
  daemon = await startDaemon({ network: "host" });
  registry = await startRegistry(daemon.network);
  image = `${registry.address}/debian:bookworm`;
  await daemon.ok("import", "-c", 'CMD ["bash"]', await debianTar(), "debian:local");
  await daemon.ok("save", "-o", `${daemon.folder}/debian.tar`, "debian:local");
  await must(
    ["skopeo", "copy", "--dest-tls-verify=false", `docker-archive:${daemon.folder}/debian.tar`, `docker://${image}`],
    { timeoutMs: 300_000 },
  );
  await daemon.ok("rmi", "debian:local");
});
after(async () => {
  await registry[Symbol.asyncDispose]();
  await daemon[Symbol.asyncDispose]();
});

test("debian: pulled from a registry that skopeo filled, it runs", async () => {
  await daemon.ok("pull", image);
  assert.match(await daemon.ok("run", "--rm", image, "cat", "/etc/debian_version"), /^12/);
});

test("debian: owners, set-id bits and file capabilities are as they were packed", async () => {
  const script = "stat -c '%a %U %G' /usr/bin/passwd /etc/shadow /var/mail";
  assert.equal(
    await daemon.ok("run", "--rm", image, "sh", "-c", script),
    "4755 root root\n640 root shadow\n2775 root mail",
  );
});

test("debian: apt-get installs a server, which is reached through a published port", { timeout: 240_000 }, async () => {
  const port = await freePort(daemon.network);
  const install = "apt-get update -q && apt-get install -y -q --no-install-recommends busybox-static";
  await must(["docker", "run", "--name", "built", image, "sh", "-c", install], {
    env: daemon.environment,
    timeoutMs: 200_000,
  });
  await daemon.ok("commit", "-c", `CMD ${JSON.stringify(["sh", "-c", lineServer("served")])}`, "built", "server");
  await daemon.ok("run", "-d", "--name", "server", "-p", `${port}:80`, "server");
  await lineOf(daemon.spawnDocker(["logs", "-f", "server"]), /up/);
  assert.equal(await must(["timeout", "5", "busybox", "nc", "127.0.0.1", String(port)]), "served");
  await daemon.ok("rm", "-f", "built", "server");
});
