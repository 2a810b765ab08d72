import assert from "node:assert/strict";
import { mkdirSync, mkdtempDisposableSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { must } from "#test/command";
import { packageRoot, startDaemon } from "#test/daemon";

/** The folder of minidock as `npm install` of what `npm pack` makes would leave it: no sources, no compiler needed. */
async function install(folder: string): Promise<string> {
  const pack = ["npm", "pack", "--ignore-scripts", "--silent", "--pack-destination", folder];
  const archive = await must(pack, { cwd: packageRoot });
  const installed = join(folder, "node_modules", "minidock");
  mkdirSync(installed, { recursive: true });
  await must(["tar", "-xzf", join(folder, archive), "-C", installed, "--strip-components=1"]);
  const { dependencies } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  for (const name of Object.keys(dependencies)) {
    const link = join(folder, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(packageRoot, "node_modules", name), link);
  }
  return installed;
}

test("package: what npm packs runs a container by itself", {
  skip: process.env.MINIDOCK_BUNDLE === undefined && "nothing is bundled: MINIDOCK_BUNDLE=1 after `npm run build`",
}, async () => {
  using folder = mkdtempDisposableSync("/var/tmp/package-");
  await using daemon = await startDaemon({ package: await install(folder.path) });
  assert.equal(await daemon.ok("run", "--rm", "--init", "-p", "80", "busybox", "echo", "hello"), "hello");
});
