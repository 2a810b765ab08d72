/** kill -9 of the daemon in the middle of what images do. MINIDOCK_KILL_ROUNDS=100 for the long run. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Daemon, startDaemon } from "#test/daemon";
import { startRegistry } from "#test/registry";
import { faultsOf } from "./images-faults.ts";
import { writeImage } from "./images-made.ts";
import { openImages, shown } from "./images-rig.ts";
import { RogueRegistry } from "./images-rogue.ts";

const rounds = Number(process.env.MINIDOCK_KILL_ROUNDS ?? 10);

/** What is promised about a name: nothing, while something is done to it that has not answered. */
type Promised = "there" | "gone" | "unknown";

interface Operation {
  readonly argv: readonly string[];
  /** The names that it is about, and what its success promises of them. */
  readonly names: readonly string[];
  readonly result?: Promised;
}

async function checkPromises(daemon: Daemon, promises: ReadonlyMap<string, Promised>): Promise<void> {
  const here = new Set((await daemon.ok("images", "--format", "{{.Repository}}:{{.Tag}}")).split("\n"));
  for (const [name, promised] of promises) {
    if (promised === "there") assert.ok(here.has(name), `${name} was reported done and is not there`);
    if (promised === "gone") assert.ok(!here.has(name), `${name} was reported gone and is there`);
  }
}

/** Runs it; after `killAfterMs` the daemon dies under it. Returns how long it took when it came to its end. */
async function runUntilKilled(
  daemon: Daemon,
  operation: Operation,
  promises: Map<string, Promised>,
  killAfterMs: number,
) {
  for (const name of operation.names) promises.set(name, "unknown");
  const began = performance.now();
  const done = daemon.docker(operation.argv).then(({ status }) => {
    if (status !== 0) return;
    if (operation.result !== undefined) for (const name of operation.names) promises.set(name, operation.result);
  });
  await delay(killAfterMs);
  await daemon.kill();
  await done;
  return performance.now() - began;
}

test(`kill -9 at ${rounds} moments of pull, push, load, rmi and prune: nothing reported is lost, nothing is left over`, async () => {
  await using daemon = await startDaemon({ hasBusybox: false });
  await using registry = await startRegistry(daemon.network);
  const [a, b, c] = ["a", "b", "c"].map((name) => `${registry.address}/${name}:1`) as [string, string, string];
  const shapes = { many: { files: 400, bytesPerFile: 4000 }, large: { files: 3, bytesPerFile: 6_000_000 } };
  const shared = { seed: "shared", ...shapes.many };
  const archive = join(daemon.folder, "images.tar");
  const tags: readonly (readonly [string, string])[] = [
    [a, "large"],
    [b, "other"],
    [c, "third"],
  ];
  for (const [tag, seed] of tags) {
    writeImage(archive, { tag, layers: [shared, { seed, ...shapes.large }, { seed: `${seed}-top`, ...shapes.many }] });
    await daemon.ok("load", "-i", archive);
    if (tag !== c) await daemon.ok("push", tag);
  }
  await daemon.ok("rmi", a, b, c);
  const pull = (name: string): Operation => ({ argv: ["pull", name], names: [name], result: "there" });
  const load: Operation = { argv: ["load", "-i", archive], names: [c], result: "there" };
  const push: Operation = { argv: ["push", c], names: [] };
  const remove = (name: string): Operation => ({ argv: ["rmi", name], names: [name], result: "gone" });
  const prune: Operation = { argv: ["image", "prune", "-af"], names: [a, b, c], result: "gone" };
  const operations = [pull(a), pull(b), load, push, remove(a), load, push, pull(a), prune, remove(b)];
  const promises = new Map<string, Promised>();
  for (let round = 0; round < rounds; round++) {
    const operation = operations[round % operations.length] ?? prune;
    // Spread evenly over what each of them takes, and a little beyond.
    const fraction = (round * 0.618 + 0.1) % 1;
    const lengthMs = operation.argv[0] === "rmi" || operation.argv[0] === "image" ? 50 : 1300;
    await runUntilKilled(daemon, operation, promises, 5 + fraction * lengthMs);
    await daemon.start();
    await checkPromises(daemon, promises);
    await daemon.stop();
    const where = `round ${round}, ${operation.argv.join(" ")}, ${Math.round(fraction * lengthMs)} ms`;
    assert.deepEqual(await faultsOf(daemon.dataRoot), [], where);
    await daemon.start();
  }
  // Everything still works, and what was pushed is whole.
  await daemon.ok("load", "-i", archive);
  await daemon.ok("push", c);
  await daemon.ok("image", "prune", "-af");
  for (const name of [a, b, c]) await daemon.ok("pull", name);
  await daemon.stop();
  assert.deepEqual(await faultsOf(daemon.dataRoot), []);
  await daemon.start();
  await daemon.ok("image", "prune", "-af");
  await daemon.stop();
  assert.deepEqual(readdirSync(join(daemon.dataRoot, "content/blobs/sha256")), []);
});

test("kill -9 in the middle of a download: the next pull goes on where it ended", async () => {
  await using rogue = await RogueRegistry.start();
  await using daemon = await startDaemon({ network: "host", hasBusybox: false });
  const image = rogue.addImage("1", [Buffer.alloc(3_000_000, crypto.randomUUID())]);
  const [layer = ""] = image.layers;
  const blob = rogue.blobs.get(layer) ?? Buffer.alloc(0);
  const half = Math.floor(blob.length / 2);
  let isFirst = true;
  rogue.hook = (request, response) => {
    if (!isFirst || !request.url?.endsWith(`/blobs/${layer}`)) return false;
    isFirst = false;
    response.writeHead(200, { "content-length": blob.length }).write(blob.subarray(0, half));
    return true;
  };
  const partial = join(daemon.dataRoot, "content/ingest", `${layer.slice(7)}.partial`);
  const client = daemon.docker(["pull", `${rogue.address}/x:1`]);
  while ((statSync(partial, { throwIfNoEntry: false })?.size ?? 0) < half) await delay(5);
  await daemon.kill();
  assert.notEqual((await client).status, 0);
  await daemon.start();
  await daemon.ok("pull", `${rogue.address}/x:1`);
  const ranges = rogue.requests.filter(({ line }) => line === `GET /v2/x/blobs/${layer}`).map(({ range }) => range);
  assert.deepEqual(ranges, ["", `bytes=${half}-`]);
});

for (const [what, change] of [
  ["is only checked", (bytes: Buffer) => bytes],
  ["is fetched again when it is longer than it should be", (bytes: Buffer) => Buffer.concat([bytes, Buffer.from("x")])],
  ["is fetched again when its bytes are wrong", (bytes: Buffer) => Buffer.from(bytes).fill("x", 0, 9)],
] as const) {
  test(`a download that was complete when the daemon died ${what}`, async () => {
    await using rig = await openImages();
    await using registry = await startRegistry({ prefix: [] });
    const name = `${registry.address}/x:1`;
    await rig.importBusybox(name);
    await rig.push(name);
    rig.images.delete(name, { force: true, prune: true });
    await rig.pull(name);
    const blobs = join(rig.folder, "data/content/blobs/sha256");
    const kept = readdirSync(blobs).map((digest) => [digest, readFileSync(join(blobs, digest))] as const);
    rig.images.delete(name, { force: true, prune: true });
    await rig.storage.collect();
    for (const [digest, bytes] of kept) {
      writeFileSync(join(rig.folder, "data/content/ingest", `${digest}.partial`), change(bytes));
    }
    assert.match(shown(await rig.pull(name)).at(-1) ?? "", /^Status: Downloaded newer image/);
  });
}
