/** kill -9 of the daemon in the middle of what images do. MINIDOCK_KILL_ROUNDS=100 MINIDOCK_KILL_CALLS=1 for the long run. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { busyboxTar } from "#test/busybox";
import { lineOf, stop } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";
import { type Registry, startRegistry } from "#test/registry";
import { faultsOf } from "./faults.ts";
import { writeImage } from "./made.ts";
import { openImages, shown } from "./rig.ts";
import { RogueRegistry } from "./rogue.ts";

const rounds = Number(process.env.MINIDOCK_KILL_ROUNDS ?? 15);
const step = Number(process.env.MINIDOCK_KILL_CALLS ?? 0);
const whyNoCalls = step === 0 && "MINIDOCK_KILL_CALLS=1 kills at every call, =5 at every fifth; it needs strace";

/** What is promised about a name: nothing, while something is done to it that has not answered. */
type Promised = "there" | "gone" | "unknown";

interface Operation {
  /** Command lines that run side by side. */
  readonly commands: readonly (readonly string[])[];
  /** The names that it is about, and what its success promises of them. */
  readonly names: readonly string[];
  readonly result?: Promised;
}

interface World {
  readonly daemon: Daemon;
  readonly promises: Map<string, Promised>;
  /** In turn; `number` makes names that are used once. */
  readonly operations: readonly ((number: number) => Operation)[];
}

async function checkPromises({ daemon, promises }: World): Promise<void> {
  const here = new Set((await daemon.ok("images", "--format", "{{.Repository}}:{{.Tag}}")).split("\n"));
  for (const [name, promised] of promises) {
    if (promised === "there") assert.ok(here.has(name), `${name} was reported done and is not there`);
    if (promised === "gone") assert.ok(!here.has(name), `${name} was reported gone and is there`);
  }
  assert.ok(!here.has("<none>:<none>"), "an image without a name is left");
}

/** Runs it while `kill` ends the daemon under it, and looks at what is left. */
async function survive(world: World, operation: Operation, kill: (done: Promise<unknown>) => Promise<unknown>) {
  const { daemon, promises } = world;
  for (const name of operation.names) promises.set(name, "unknown");
  const done = Promise.all(operation.commands.map((argv) => daemon.docker(argv))).then((outcomes) => {
    if (operation.result === undefined || outcomes.some(({ status }) => status !== 0)) return;
    for (const name of operation.names) promises.set(name, operation.result);
  });
  await kill(done);
  await done;
  await daemon.start();
  await checkPromises(world);
  await daemon.stop();
  assert.deepEqual(await faultsOf(daemon.dataRoot), []);
  await daemon.start();
}

/** Three images of which two are in the registry, and a container that has changed. */
async function fill(daemon: Daemon, registry: Registry): Promise<World> {
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
  await daemon.ok("import", await busyboxTar(), "local:base");
  await daemon.ok("create", "--name", "changed", "local:base", "sh");
  await daemon.ok("cp", archive, "changed:/changed");
  const promises = new Map<string, Promised>();
  const pull = (name: string): Operation => ({ commands: [["pull", name]], names: [name], result: "there" });
  const crowd: Operation = {
    commands: [a, b, a, b, a].map((name) => ["pull", name]),
    names: [a, b],
    result: "there",
  };
  const load: Operation = { commands: [["load", "-i", archive]], names: [c], result: "there" };
  const push: Operation = { commands: [["push", c]], names: [] };
  const save: Operation = { commands: [["save", "-o", join(daemon.folder, "saved.tar"), c]], names: [] };
  const make = (command: readonly string[], name: string): Operation => ({
    commands: [[...command, name]],
    names: [name],
    result: "there",
  });
  const remove = (name: string): Operation => ({ commands: [["rmi", name]], names: [name], result: "gone" });
  const prune = (): Operation => ({
    commands: [["image", "prune", "-af"]],
    names: [a, b, c, ...promises.keys()],
    result: "gone",
  });
  const operations = [
    ...[() => pull(a), () => pull(b), () => load, () => push],
    (number: number) => make(["import", archive], `local:import${number}`),
    ...[() => remove(a), () => load, () => save, () => pull(a)],
    (number: number) => make(["commit", "changed"], `local:commit${number}`),
    ...[prune, () => crowd, () => load, () => push, () => remove(b)],
  ];
  return { daemon, promises, operations };
}

/** After whatever happened everything works, what was pushed is whole, and all of it can be removed. */
async function finish({ daemon }: World, registry: Registry): Promise<void> {
  await daemon.ok("load", "-i", join(daemon.folder, "images.tar"));
  await daemon.ok("push", `${registry.address}/c:1`);
  await daemon.ok("rm", "changed");
  await daemon.ok("image", "prune", "-af");
  for (const name of ["a", "b", "c"]) await daemon.ok("pull", `${registry.address}/${name}:1`);
  await daemon.stop();
  assert.deepEqual(await faultsOf(daemon.dataRoot), []);
  await daemon.start();
  await daemon.ok("image", "prune", "-af");
  await daemon.stop();
  assert.deepEqual(readdirSync(join(daemon.dataRoot, "content/blobs/sha256")), []);
}

test(`kill -9 at ${rounds} moments of what images do: nothing reported is lost, nothing is left over`, async () => {
  await using daemon = await startDaemon({ hasBusybox: false });
  await using registry = await startRegistry(daemon.network);
  const world = await fill(daemon, registry);
  for (let round = 0; round < rounds; round++) {
    const operation = world.operations[round % world.operations.length]?.(round);
    if (operation === undefined) throw new Error("no operation");
    // Spread evenly over what each of them takes, and a little beyond.
    const fraction = (round * 0.618 + 0.1) % 1;
    const isShort = operation.result === "gone";
    const killAfterMs = 5 + fraction * (isShort ? 50 : 1300);
    await context(`round ${round}, ${operation.commands[0]?.join(" ")}, ${Math.round(killAfterMs)} ms`, () =>
      survive(world, operation, async () => {
        await delay(killAfterMs);
        await daemon.kill();
      }),
    );
  }
  await finish(world, registry);
});

/** System calls that change what is on the disk. */
const changing =
  "fsync,fdatasync,syncfs,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,mknodat,ftruncate,pwrite64";

test(`kill -9 before each ${step}th system call that changes the disk`, { skip: whyNoCalls }, async () => {
  await using daemon = await startDaemon({ hasBusybox: false });
  await using registry = await startRegistry(daemon.network);
  const world = await fill(daemon, registry);
  let [kills, number] = [0, 0];
  for (const make of world.operations) {
    for (let isKilled = true, when = 1 + (number % step); isKilled; when += step) {
      number++;
      const operation = make(number);
      await prepare(world, operation);
      const tracer = spawn("strace", [
        ...["-f", "-o", "/dev/null", "-p", `${daemon.pid}`],
        ...["-e", `trace=${changing}`, "-e", `inject=${changing}:signal=SIGKILL:when=${when}`],
      ]);
      await lineOf(tracer, /attached/);
      await context(`call ${when} of ${operation.commands[0]?.join(" ")}`, () =>
        survive(world, operation, async (done) => {
          await done;
          // Background work that the operation began may come to the call as well.
          await delay(200);
          isKilled = !daemon.isRunning;
          await daemon.kill();
        }),
      );
      await stop(tracer);
      kills += Number(isKilled);
    }
  }
  assert.ok(kills > 0);
  await finish(world, registry);
});

/** Lets the operation have something to do. */
async function prepare(
  { daemon, promises }: World,
  { commands: [argv = []], names, result }: Operation,
): Promise<void> {
  const archive = join(daemon.folder, "images.tar");
  const [verb, name = ""] = argv;
  if (verb === "pull" || verb === "load") await daemon.docker(["rmi", ...names]);
  if (verb === "push" || verb === "save" || verb === "image") await daemon.ok("load", "-i", archive);
  if (verb === "rmi") await daemon.ok("pull", name);
  if (result !== undefined) for (const name of names) promises.delete(name);
}

/** Says where a failure happened. */
async function context<T>(where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new Error(where, { cause });
  }
}

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
