import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
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
