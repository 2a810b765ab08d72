import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Daemon, startDaemon } from "#test/daemon";

/** NETWORK_ROUNDS=1000 for the long run. Every tenth round the daemon is killed in the middle of its work. */
const rounds = Number(process.env.NETWORK_ROUNDS ?? "20");

interface Kernel {
  readonly links: number;
  readonly namespaces: number;
  readonly elements: number;
  readonly addresses: number;
}

const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

/** What the daemon has in the kernel, apart from its pool of ready sandboxes, which comes and goes. */
async function look(daemon: Daemon): Promise<Kernel> {
  const links = await daemon.inNetwork("ip", "-o", "link");
  const rules = await daemon.inNetwork("nft", "list", "ruleset");
  return {
    links: count(links, /master br-|master docker0/g),
    namespaces: readdirSync(join(daemon.execRoot, "netns")).length,
    elements: count(rules, /tcp \. \d+/g),
    addresses: count(await daemon.inNetwork("ip", "-o", "addr"), / inet /g),
  };
}

async function settled(daemon: Daemon, isRight: (kernel: Kernel) => boolean): Promise<Kernel> {
  const deadline = performance.now() + 5000;
  for (;;) {
    const kernel = await look(daemon);
    if (isRight(kernel) || performance.now() > deadline) return kernel;
    await delay(50);
  }
}

/** One container's life with two networks and two ports; with `isKilled` the daemon does not see the end of it. */
async function round(daemon: Daemon, name: string, isKilled: boolean): Promise<void> {
  await daemon.ok(
    "run",
    "-d",
    "--name",
    name,
    "--network",
    "n1",
    "-p",
    "80",
    "-p",
    "53/udp",
    "busybox",
    "sleep",
    "600",
  );
  const connecting = daemon.docker(["network", "connect", "n2", name]);
  if (isKilled) {
    await daemon.kill();
    await connecting;
    await daemon.start();
    // The kill may have come before or after the record of it.
    await daemon.docker(["network", "connect", "n2", name]);
  } else {
    await connecting;
    await daemon.ok("network", "disconnect", "n2", name);
  }
  await daemon.ok("rm", "-f", name);
}

test(`rounds: ${rounds} containers on two networks, with kills, leave no link, namespace, rule or lease`, async () => {
  const daemon = await startDaemon();
  try {
    await daemon.ok("network", "create", "--subnet", "10.91.7.0/28", "n1");
    await daemon.ok("network", "create", "--subnet", "10.91.8.0/28", "n2");
    await round(daemon, "first", false);
    const before = await settled(daemon, ({ links }) => links === 0);
    for (let i = 0; i < rounds; i += 1) await round(daemon, `r${i}`, i % 10 === 4);
    const after = await settled(daemon, ({ links, namespaces }) => links === 0 && namespaces <= before.namespaces);
    assert.deepEqual({ ...after, namespaces: 0 }, { ...before, namespaces: 0 });
    assert.ok(after.namespaces <= before.namespaces + 1, `${after.namespaces} namespaces, ${before.namespaces} before`);
    // The ranges hold thirteen containers each: they are whole when as many fit in.
    const names = Array.from({ length: 13 }, (_, i) => `whole${i}`);
    for (const name of names)
      await daemon.ok("run", "-d", "--name", name, "--network", "n1", "busybox", "sleep", "600");
    await daemon.ok("rm", "-f", ...names);
    await daemon.ok("network", "rm", "n1", "n2");
  } finally {
    // It fails when a process, mount, interface or table is left.
    await daemon[Symbol.asyncDispose]();
  }
});
