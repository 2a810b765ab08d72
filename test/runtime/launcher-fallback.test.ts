import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { command, helper, isOurs, isStatic, Place, runtime } from "./launcher-rig.ts";

// The script that `lacking` makes does not show its tests that the runtime is not static.
const suites = ["launcher.test.ts", ...(isStatic ? ["launcher-defences.test.ts"] : [])];

/** minirun where these system calls are missing. */
async function lacking(place: Place, calls: string): Promise<string> {
  const old = join(place.directory, "minirun");
  await writeFile(old, `#!/bin/sh\nexec ${helper("without")} ${calls} ${runtime} "$@"\n`);
  await chmod(old, 0o755);
  return old;
}

async function suitesPass(calls: string, names: readonly string[]): Promise<void> {
  await using place = await Place.make();
  const files = names.map((name) => join(import.meta.dirname, name));
  const environment = { ...process.env, RUNTIME: await lacking(place, calls), NODE_TEST_CONTEXT: undefined };
  const result = await command(process.execPath, ["--test", "--test-concurrency=1", ...files], { environment });
  assert.equal(result.code, 0, result.stdout.replaceAll(/^ok .*$/gm, ""));
}

const ours = { skip: !isOurs && "it is about minirun's own fallback" };
const newMounts = "mount_setattr,open_tree,move_mount,fsopen";

test("where openat2 is missing the whole suite passes by the walk that stands in for it", ours, () =>
  suitesPass("openat2", suites),
);

test("before Linux 5.12 the whole suite passes by mount(2)", ours, () => suitesPass(newMounts, ["launcher.test.ts"]));

test("before Linux 5.12 what only mount_setattr can do is refused in words", ours, async () => {
  await using place = await Place.make();
  const old = await lacking(place, newMounts);
  for (const options of [
    ["rbind", "rro"],
    ["bind", "idmap=uids=0-1-1;gids=0-1-1"],
  ]) {
    const bundle = await place.bundle((spec) => {
      spec.mounts?.push({ destination: "/mnt", type: "bind", source: "/var/tmp", options });
    });
    const result = await command(old, ["--root", place.root, "run", "--bundle", bundle.directory, bundle.id]);
    assert.match(result.stderr, /need mount_setattr\(2\), Linux 5.12/, result.stdout);
  }
});
