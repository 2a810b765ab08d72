import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { command, helper, isOurs, Place, runtime } from "./launcher-rig.ts";

const suites = ["launcher.test.ts", "launcher-defences.test.ts"];

test("where openat2 is missing the whole suite passes by the walk that stands in for it", {
  skip: !isOurs && "it is about minirun's own fallback",
}, async () => {
  await using place = await Place.make();
  const old = join(place.directory, "minirun");
  await writeFile(old, `#!/bin/sh\nexec ${helper("without")} openat2 ${runtime} "$@"\n`);
  await chmod(old, 0o755);
  const files = suites.map((name) => join(import.meta.dirname, name));
  const environment = { ...process.env, RUNTIME: old, NODE_TEST_CONTEXT: undefined };
  const result = await command(process.execPath, ["--test", "--test-concurrency=1", ...files], { environment });
  assert.equal(result.code, 0, result.stdout.replaceAll(/^ok .*$/gm, ""));
});
