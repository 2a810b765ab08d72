import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Spec } from "#runtime";
import { args, both, command, inTerminal, isOurs, Place, runtime, shell } from "./launcher-rig.ts";

// What runc does beside the specs and its callers have come to rely on.

const onlyOurs = isOurs ? false : "a habit of newer runc";

const noCrun = runtime.endsWith("crun") && "crun has none of it";

test("a terminal in the foreground: lines have no carriage return where they go to a file", {
  skip: noCrun,
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(args("echo", "one line"), (spec) => {
      if (spec.process) spec.process.terminal = true;
    }),
  );
  const line = `${runtime} --root ${place.root} run --bundle ${bundle.directory} ${bundle.id} >${bundle.directory}/out`;
  assert.equal((await inTerminal("sh", ["-c", line])).code, 0);
  assert.equal(await readFile(join(bundle.directory, "out"), "utf8"), "one line\n");
});

test("affinity: a container has the CPUs of its cgroups, not those of who started it", {
  skip: onlyOurs || (cpus().length < 2 && "one CPU"),
}, async () => {
  await using place = await Place.make();
  const script = "grep Cpus_allowed_list /proc/self/status";
  const bundle = await place.bundle(shell(script));
  const words = ["--cpu-list", "0", runtime, "--root", place.root];
  const run = await command("taskset", [...words, "run", "--bundle", bundle.directory, bundle.id]);
  assert.match(run.stdout, /list:\t0[-,]/, run.stderr);
  const running = await place.bundle(args("sleep", "1000"));
  await running.detached("run");
  const exec = await command("taskset", [...words, "exec", running.id, "sh", "-c", script]);
  assert.match(exec.stdout, /list:\t0[-,]/, exec.stderr);
});

test("events: the interval is a duration in Go's words", { skip: noCrun }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("sleep", "1000"));
  await bundle.detached("run");
  const line = `${runtime} --root ${place.root} events --interval 100ms ${bundle.id} | head -n 1`;
  const { stdout } = await command("timeout", ["10", "sh", "-c", line]);
  assert.match(stdout, new RegExp(`^{"type":"stats","id":"${bundle.id}",`));
  const refused = await bundle.call("events", "--interval", "0s", bundle.id);
  await bundle.call("delete", "--force", bundle.id);
  assert.match(refused.stderr, /duration interval must be greater than 0/);
});

test("list: ids in their order; a root that was named must exist", { skip: noCrun }, async () => {
  await using place = await Place.make();
  const bundles = [
    await place.bundle(args("true")),
    await place.bundle(args("true")),
    await place.bundle(args("true")),
  ];
  for (const bundle of bundles) await bundle.detached("create");
  const { stdout } = await place.runtime(["list", "--quiet"]);
  assert.deepEqual(stdout.trim().split("\n"), bundles.map((bundle) => bundle.id).toSorted());
  const missing = await command(runtime, ["--root", join(place.directory, "nowhere"), "list"]);
  if (isOurs) assert.match(missing.stderr, /nowhere: no such file or directory/);
});

test("hooks find themselves in the bundle, and in the root when they are the container's", {
  skip: noCrun,
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle();
  const file = join(bundle.directory, "config.json");
  const spec: Spec = JSON.parse(await readFile(file, "utf8"));
  const hook = (name: string) => [{ path: "/bin/sh", args: ["sh", "-c", `pwd >${bundle.directory}/${name}`] }];
  spec.hooks = { createRuntime: hook("runtime"), createContainer: hook("container") };
  await writeFile(file, JSON.stringify(spec));
  assert.equal((await bundle.run()).code, 0);
  assert.equal(await readFile(join(bundle.directory, "runtime"), "utf8"), `${bundle.directory}\n`);
  assert.equal(await readFile(join(bundle.directory, "container"), "utf8"), `${bundle.rootfs}\n`);
});

test("mounts: a source inside the root is what earlier mounts have made of it", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(args("cat", "/second/file"), (spec) => {
      const folder = `${place.directory}/${spec.linux?.cgroupsPath?.split("/").at(-1)}`;
      spec.mounts?.push(
        { destination: "/first", type: "bind", source: `${folder}/source`, options: ["bind"] },
        // The host's path of the root, as old callers write it.
        { destination: `${folder}/rootfs/second`, type: "bind", source: `${folder}/rootfs/first`, options: ["rbind"] },
      );
    }),
  );
  await mkdir(join(bundle.directory, "source"));
  await mkdir(join(bundle.rootfs, "second"));
  await writeFile(join(bundle.directory, "source/file"), "from the first\n");
  const { stdout, stderr } = await bundle.run();
  assert.equal(stdout, "from the first\n", stderr);
});

test("kill: a created container ends by SIGTERM, though its first process never started", {
  skip: noCrun,
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("sleep", "1000"));
  await bundle.detached("create");
  const { pid } = await bundle.state();
  await bundle.call("kill", bundle.id, "TERM");
  await command("timeout", ["10", "tail", "-s", "0.1", "--pid", String(pid), "-f", "/dev/null"]);
  assert.equal((await bundle.state()).status, "stopped");
});

test("--no-pivot leaves no procfs or sysfs without masks to be found", { skip: noCrun }, async () => {
  await using place = await Place.make();
  const count = shell("grep -cE ' - (proc|sysfs) ' /proc/self/mountinfo");
  const pivoted = await (await place.bundle(count)).run();
  const moved = await (await place.bundle(count)).run("--no-pivot");
  assert.equal(moved.stdout, pivoted.stdout, moved.stderr);
});

test("a cgroup that others live in is refused, and left as it was", { skip: noCrun }, async () => {
  await using place = await Place.make();
  const first = await place.bundle(args("sleep", "1000"));
  await first.detached("run");
  const second = await place.bundle((spec) => {
    spec.linux = { ...spec.linux, cgroupsPath: `${place.cgroup}/${first.id}` };
  });
  assert.match((await second.run()).stderr, /container's cgroup is not empty: \d+ process/);
  assert.equal((await first.state()).status, "running");
  assert.equal((await first.exec(["true"])).code, 0);
  assert.notEqual((await place.cgroupFolders(first.id)).length, 0);
});

test("a container that nothing could kill whole is warned of", {
  skip: !isOurs && "it asks for cgroups by crun's flag",
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle((spec) => {
    if (spec.linux?.namespaces) spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== "pid");
    // procfs belongs to the PID namespace that mounts it.
    spec.mounts = (spec.mounts ?? []).filter(({ type }) => type !== "proc");
  });
  const words = ["run", "--bundle", bundle.directory, bundle.id];
  const warning = /no cgroup and no private pid namespace/;
  assert.match((await place.runtime(["--cgroup-manager", "disabled", ...words])).stderr, warning);
  assert.doesNotMatch((await place.runtime(words)).stderr, warning);
});
