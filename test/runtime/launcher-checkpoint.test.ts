import assert from "node:assert/strict";
import { access, mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Spec } from "#runtime";
import { provideCriu } from "../helpers/criu.ts";
import { type Bundle, both, command, isOurs, Place, type Result, runtime, shell } from "./launcher-rig.ts";

// Checkpoint and restore with CRIU. RUNTIME names the runtime, as in launcher.test.ts.

const missing = await provideCriu();
const skip = missing ?? false;
const onlyOurs = missing ?? (isOurs ? false : "minirun's own behaviour");
const hasRunc = (await command("runc", ["--version"])).code === 0;
const needsBoth = missing ?? (isOurs && hasRunc ? false : "needs minirun and runc");

/** Counts the SIGUSR1s in memory, and says so in /tmp/count and on standard output. */
const counter = shell(`
  i=0; trap 'i=$((i+1)); echo $i; echo $i >/tmp/count' USR1
  echo 0 >/tmp/count; while :; do sleep 1000 & wait $!; kill $!; done`);

/** What is checkpointed must not have files of the host as its streams, so a shell opens them: `/dev/null`, or a pipe. */
async function quietly(bundle: Bundle, words: readonly string[], options: Options = {}): Promise<Result> {
  const { program = runtime, tail = ">/dev/null 2>&1" } = options;
  const log = join(bundle.directory, "log");
  await rm(log, { force: true });
  const root = program === runtime ? bundle.place.root : join(bundle.place.directory, basename(program));
  const line = [program, "--root", root, "--log", log, ...words].map((word) => `'${word}'`).join(" ");
  const result = await command("sh", ["-c", `${line} </dev/null ${tail}`]);
  return { ...result, stderr: await readFile(log, "utf8").catch(() => "") };
}
interface Options {
  readonly program?: string;
  readonly tail?: string;
}

async function run(bundle: Bundle, options: Options = {}): Promise<void> {
  const result = await quietly(bundle, ["run", "--detach", "--bundle", bundle.directory, bundle.id], options);
  assert.equal(result.code, 0, result.stderr);
  await reaches(bundle, 0);
}

const images = (bundle: Bundle): string => join(bundle.directory, "images");
const checkpoint = (bundle: Bundle, flags: readonly string[] = [], options: Options = {}): Promise<Result> =>
  quietly(bundle, ["checkpoint", "--image-path", images(bundle), ...flags, bundle.id], options);
const restore = (bundle: Bundle, flags: readonly string[] = ["--detach"], options: Options = {}): Promise<Result> =>
  quietly(
    bundle,
    ["restore", "--image-path", images(bundle), "--bundle", bundle.directory, ...flags, bundle.id],
    options,
  );

/** The counter got a signal and has come to this number. */
async function counts(bundle: Bundle, number: number, options: Options = {}): Promise<void> {
  const result = await quietly(bundle, ["kill", bundle.id, "USR1"], options);
  assert.equal(result.code, 0, result.stderr);
  await reaches(bundle, number);
}

async function reaches(bundle: Bundle, number: number): Promise<void> {
  const file = join(bundle.rootfs, "tmp/count");
  let text = "";
  for (let tries = 0; tries < 1000 && text !== `${number}\n`; tries++) {
    await delay(5);
    text = await readFile(file, "utf8").catch(() => "");
  }
  assert.equal(text, `${number}\n`);
}

async function isGone(bundle: Bundle): Promise<void> {
  const { code, stderr } = await bundle.call("state", bundle.id);
  assert.equal(code, 1);
  assert.match(stderr, /container does not exist/);
  assert.deepEqual(await bundle.place.cgroupFolders(bundle.id), []);
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

async function edit(bundle: Bundle, change: (spec: Spec) => void): Promise<void> {
  const config = join(bundle.directory, "config.json");
  const spec: Spec = JSON.parse(await readFile(config, "utf8"));
  change(spec);
  await writeFile(config, JSON.stringify(spec));
}

const hook = (script: string) => (spec: Spec) => {
  spec.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", script] }] };
};

const joinsNetwork = (path: string) => (spec: Spec) => {
  for (const namespace of spec.linux?.namespaces ?? []) if (namespace.type === "network") namespace.path = path;
};

test("checkpoint: the container is gone; restore: it goes on counting, in its cgroups and behind its masks", {
  skip,
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(counter);
  await run(bundle);
  await counts(bundle, 1);
  await counts(bundle, 2);
  const taken = await checkpoint(bundle);
  assert.equal(taken.code, 0, taken.stderr);
  await isGone(bundle);
  const pidFile = join(bundle.directory, "pid");
  const restored = await restore(bundle, ["--detach", "--pid-file", pidFile]);
  assert.equal(restored.code, 0, restored.stderr);
  const { status, pid } = await bundle.state();
  assert.equal(status, "running");
  assert.equal(await readFile(pidFile, "utf8"), String(pid));
  await counts(bundle, 3);
  const groups = (await readFile(`/proc/${pid}/cgroup`, "utf8")).trim().split("\n");
  for (const line of groups) assert.match(line, new RegExp(`${place.cgroup}/${bundle.id}$`));
  const seen = await bundle.exec([
    "sh",
    "-c",
    "hostname; cat /proc/keys; ls /sys/firmware; echo x >/proc/sys/kernel/hostname",
  ]);
  assert.equal(seen.stdout, "box\n");
  assert.match(seen.stderr, /Read-only file system/);
  // runc leaves the loopback interface of a new network namespace down.
  if (isOurs) assert.match((await bundle.exec(["ip", "link", "show", "lo"])).stdout, /<LOOPBACK,UP/);
  // CRIU has put it into a time namespace, which exec joins in another way.
  for (let round = 0; round < 10; round++) assert.equal((await bundle.exec(["true"])).code, 0);
  assert.equal((await bundle.call("delete", "--force", bundle.id)).code, 0);
  await isGone(bundle);
  assert.doesNotMatch(await readFile("/proc/self/mountinfo", "utf8"), new RegExp(bundle.id));
});

test("checkpoint --leave-running: the container goes on, and can be restored to that point later", {
  skip,
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(counter);
  await run(bundle);
  await counts(bundle, 1);
  const taken = await checkpoint(bundle, ["--leave-running"]);
  assert.equal(taken.code, 0, taken.stderr);
  await counts(bundle, 2);
  await bundle.call("delete", "--force", bundle.id);
  const restored = await restore(bundle);
  assert.equal(restored.code, 0, restored.stderr);
  await counts(bundle, 2);
});

test("restore: what went into a pipe goes into the new one", { skip }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(counter);
  const into = (name: string) => ({ tail: `2>&1 | cat >'${join(bundle.directory, name)}' 2>&1 &` });
  await run(bundle, into("before"));
  await counts(bundle, 1);
  assert.equal((await checkpoint(bundle)).code, 0);
  await restore(bundle, ["--detach"], into("after"));
  for (let tries = 0; tries < 1000 && (await bundle.call("state", bundle.id)).code !== 0; tries++) await delay(10);
  await counts(bundle, 2);
  await bundle.call("delete", "--force", bundle.id);
  for (const [name, text] of Object.entries({ before: "1\n", after: "2\n" }))
    assert.equal(await readFile(join(bundle.directory, name), "utf8"), text);
});

test("restore in the foreground waits, and has the exit code of the process", { skip }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    shell("trap 'exit 7' USR1; echo 0 >/tmp/count; while :; do sleep 1000 & wait $!; done"),
  );
  await run(bundle);
  assert.equal((await checkpoint(bundle)).code, 0);
  const ended = restore(bundle, []);
  for (let tries = 0; tries < 1000 && (await bundle.call("kill", bundle.id, "USR1")).code !== 0; tries++)
    await delay(10);
  assert.equal((await ended).code, 7);
  await isGone(bundle);
});

test("restore: mounts and namespaces are those of the bundle, a bind mount below a link too", { skip }, async () => {
  await using place = await Place.make();
  const sandbox = await place.bundle(shell("echo 0 >/tmp/count; exec sleep 1000"));
  await run(sandbox);
  const network = `/proc/${(await sandbox.state()).pid}/ns/net`;
  const volume = join(place.directory, "volume");
  await mkdir(join(volume, "below"), { recursive: true });
  const binds = (spec: Spec): void => {
    spec.mounts?.push({ destination: "/link/volume", type: "bind", source: volume, options: ["rbind"] });
    spec.mounts?.push({
      destination: "/link/volume/below/more",
      type: "bind",
      source: volume,
      options: ["rbind", "ro"],
    });
  };
  const bundle = await place.bundle(both(counter, binds, joinsNetwork(network)));
  await mkdir(join(bundle.rootfs, "real"));
  await symlink("/real", join(bundle.rootfs, "link"));
  await run(bundle);
  const taken = await checkpoint(bundle);
  assert.equal(taken.code, 0, taken.stderr);
  await rm(join(bundle.rootfs, "real/volume"), { recursive: true });
  await rm(join(volume, "below/more"), { recursive: true });
  const restored = await restore(bundle);
  assert.equal(restored.code, 0, restored.stderr);
  await writeFile(join(volume, "file"), "kept\n");
  const seen = await bundle.exec([
    "sh",
    "-c",
    "cat /real/volume/file /real/volume/below/more/file; touch /real/volume/below/more/x",
  ]);
  assert.equal(seen.stdout, "kept\nkept\n", seen.stderr);
  assert.match(seen.stderr, /Read-only file system/);
  assert.equal(await readlink(`/proc/${(await bundle.state()).pid}/ns/net`), await readlink(network));
});

test("restore: who had a network namespace of its own comes into the one that the bundle names", {
  skip: onlyOurs,
}, async () => {
  await using place = await Place.make();
  const sandbox = await place.bundle(shell("echo 0 >/tmp/count; exec sleep 1000"));
  await run(sandbox);
  const network = `/proc/${(await sandbox.state()).pid}/ns/net`;
  const bundle = await place.bundle(counter);
  await run(bundle);
  assert.equal((await checkpoint(bundle)).code, 0);
  await edit(bundle, joinsNetwork(network));
  const restored = await restore(bundle);
  assert.equal(restored.code, 0, restored.stderr);
  assert.equal(await readlink(`/proc/${(await bundle.state()).pid}/ns/net`), await readlink(network));
});

for (const [from, to] of [
  ["runc", runtime],
  [runtime, "runc"],
] as const) {
  test(`a container moves from ${basename(from)} to ${basename(to)} with its memory`, { skip: needsBoth }, async () => {
    await using place = await Place.make();
    const bundle = await place.bundle(counter);
    try {
      await run(bundle, { program: from });
      await counts(bundle, 1, { program: from });
      const taken = await checkpoint(bundle, [], { program: from });
      assert.equal(taken.code, 0, taken.stderr);
      const restored = await restore(bundle, ["--detach"], { program: to });
      assert.equal(restored.code, 0, restored.stderr);
      await counts(bundle, 2, { program: to });
    } finally {
      for (const program of [from, to]) await quietly(bundle, ["delete", "--force", bundle.id], { program });
    }
  });
}

test("checkpoint: a container that was not started, or is not there, is refused", { skip }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(counter);
  await bundle.detached("create");
  const early = await checkpoint(bundle);
  assert.equal(early.code, 1);
  assert.match(early.stderr, /[Cc]ontainer cannot be checkpointed in created state/);
  await bundle.call("delete", "--force", bundle.id);
  assert.match((await checkpoint(bundle)).stderr, /container does not exist/);
});

test("checkpoint: a failure leaves the container running, and CRIU's own words are in the log", {
  skip: onlyOurs,
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(both(counter, shell("echo 0 >/tmp/count; exec sleep 1000 >/tmp/out")));
  // A file of the host that is not in the container: CRIU does not know where it could find that again.
  await run(bundle, { tail: `>/dev/null 2>'${join(bundle.directory, "host")}'` });
  const failed = await checkpoint(bundle);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /dump\.log: .*Can't lookup mount=\d+ for fd=2/);
  assert.match(failed.stderr, /criu failed: type DUMP errno \d+/);
  assert.equal((await bundle.state()).status, "running");
});

test("restore: a failure leaves nothing", { skip }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(counter);
  await run(bundle);
  assert.equal((await checkpoint(bundle)).code, 0);
  await rm(join(images(bundle), "core-1.img"));
  const failed = await restore(bundle);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /criu failed: type \w+ errno \d+/);
  await isGone(bundle);
  assert.doesNotMatch(await readFile("/proc/self/mountinfo", "utf8"), new RegExp(bundle.id));
});

test("restore: prestart and createRuntime hooks know the new process; one that fails ends it", { skip }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(counter);
  await run(bundle);
  assert.equal((await checkpoint(bundle)).code, 0);
  const state = join(bundle.directory, "state");
  await edit(bundle, hook(`cat >'${state}'`));
  assert.equal((await restore(bundle)).code, 0);
  assert.equal(JSON.parse(await readFile(state, "utf8")).pid, (await bundle.state()).pid);
  await bundle.call("delete", "--force", bundle.id);
  await edit(bundle, hook("exit 1"));
  assert.equal((await restore(bundle)).code, 1);
  await isGone(bundle);
});

test("restore: what lies with the images leads nowhere else and hands out nothing", { skip: onlyOurs }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(counter);
  await run(bundle);
  assert.equal((await checkpoint(bundle)).code, 0);
  const victim = join(place.directory, "victim");
  await writeFile(victim, '["pipe:[1]"]');
  for (const name of ["restore.log", "stats-restore"]) {
    await rm(join(images(bundle), name), { force: true });
    await symlink(victim, join(images(bundle), name));
  }
  // Descriptor 3 is CRIU's line to us.
  await writeFile(join(images(bundle), "descriptors.json"), JSON.stringify([1, null, "/x", "pipe:[1]", "pipe:[2]"]));
  const restored = await restore(bundle);
  assert.equal(restored.code, 0, restored.stderr);
  await counts(bundle, 1);
  assert.equal(await readFile(victim, "utf8"), '["pipe:[1]"]');
  await bundle.call("delete", "--force", bundle.id);

  await rm(join(images(bundle), "descriptors.json"));
  await symlink(victim, join(images(bundle), "descriptors.json"));
  const refused = await restore(bundle);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /open descriptors\.json: too many levels of symbolic links/);
  await isGone(bundle);
});

test("without CRIU the answer is one line, and the container is untouched", {
  skip: isOurs ? false : "minirun's own words",
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(counter);
  await run(bundle);
  const environment = { PATH: join(bundle.rootfs, "bin") };
  const words = ["--root", place.root, "checkpoint", "--image-path", images(bundle), bundle.id];
  const { code, stderr } = await command(runtime, words, { environment });
  assert.equal(code, 1);
  assert.match(stderr, /^[^\n]*CRIU version check failed: exec: \\"criu\\": executable file not found in \$PATH"\n$/);
  await counts(bundle, 1);
  const restored = await command(runtime, ["--root", place.root, "restore", "--bundle", bundle.directory, "other"], {
    environment,
  });
  assert.match(restored.stderr, /^[^\n]*CRIU version check failed[^\n]*\n$/);
  assert.deepEqual(await readdir(place.root), [bundle.id]);
  assert.equal(await exists(join(images(bundle), "inventory.img")), false);
});
