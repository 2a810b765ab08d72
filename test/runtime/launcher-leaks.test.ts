import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { args, type Bundle, command, isOurs, Place, runtime } from "./launcher-rig.ts";

// LEAK_ROUNDS=10000 and KILL_ROUNDS=200 by hand.
const rounds = Number(process.env.LEAK_ROUNDS ?? 300);
const kills = Number(process.env.KILL_ROUNDS ?? 40);

/** What a container is made of, counted for the whole machine; others work here too, so small differences mean nothing. */
async function census(): Promise<Record<string, number>> {
  const [mounts, cgroups, slabs, keys] = await Promise.all(
    ["/proc/self/mountinfo", "/proc/cgroups", "/proc/slabinfo", "/proc/keys"].map((path) => readFile(path, "utf8")),
  );
  const counts: Record<string, number> = {
    mounts: (mounts ?? "").split("\n").length,
    keys: (keys ?? "").split("\n").length,
    processes: (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).length,
  };
  for (const [, controller, count] of (cgroups ?? "").matchAll(/^(\w+)\t\d+\t(\d+)/gm))
    counts[`cgroups of ${controller}`] = Number(count); // those that are dying too
  for (const [, cache, count] of (slabs ?? "").matchAll(
    /^(mnt_cache|net_namespace|pid_namespace|task_struct) +(\d+)/gm,
  ))
    counts[String(cache)] = Number(count);
  return counts;
}

async function leftovers(bundle: Bundle): Promise<string[]> {
  const states = await readdir(bundle.place.root).catch((): string[] => []);
  return [...states, ...(await bundle.place.cgroupFolders(bundle.id))];
}

test(`leaks: ${rounds} containers, created, started and deleted, leave nothing behind`, {
  timeout: 600_000,
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("true"));
  const line = `${runtime} --root ${place.root}`;
  const round = `${line} create --bundle ${bundle.directory} ${bundle.id} && ${line} start ${bundle.id} && ${line} delete --force ${bundle.id}`;
  const script = `for i in $(seq ${rounds}); do ${round} || exit 1; done < /dev/null > ${bundle.directory}/out 2>&1`;
  const before = await census();
  const child = spawn("sh", ["-c", script]);
  assert.equal(
    await new Promise((resolve) => child.on("close", resolve)),
    0,
    await readFile(`${bundle.directory}/out`, "utf8"),
  );
  assert.deepEqual(await leftovers(bundle), []);
  // Network namespaces go in the background, by a worker of the kernel.
  const grown = async () =>
    Object.entries(await census()).filter(([what, count]) => count - (before[what] ?? 0) > rounds / 2);
  for (let attempt = 0; attempt < 100 && (await grown()).length > 0; attempt++) await setTimeout(100);
  assert.deepEqual(await grown(), []);
});

test("kill -9: whenever create, start or delete die, delete --force removes what is left", {
  skip: !isOurs && "it is about minirun's own clean-up",
  timeout: 600_000,
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("sleep", "1000"));
  const steps = [["create", "--bundle", bundle.directory], ["start"], ["delete", "--force"]];
  const findings: string[] = [];
  for (let round = 0; round < kills; round++) {
    const moment = ((round % 10) + Math.random()) * 0.8;
    for (const words of steps.slice(0, 1 + (round % 3))) {
      const isLast = words === steps[round % 3];
      const child = spawn(runtime, ["--root", place.root, ...words, bundle.id], { stdio: "ignore" });
      const end = new Promise((resolve) => child.on("close", resolve));
      if (isLast) await setTimeout(moment).then(() => child.kill("SIGKILL"));
      await end;
    }
    const result = await bundle.call("delete", "--force", bundle.id);
    const left = await leftovers(bundle);
    if (result.code !== 0 || left.length > 0)
      findings.push(`${steps[round % 3]?.[0]} killed after ${moment} ms: ${result.stderr} ${left}`);
    for (const folder of await place.cgroupFolders(bundle.id)) await command("rmdir", [folder]);
  }
  assert.deepEqual(findings, []);
});
