import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Spec } from "#runtime";
import { args, type Bundle, both, command, helper, inTerminal, Place, runtime, shell } from "./launcher-rig.ts";

// Containers that share a volume with one that swaps what is in it (renameat2, RENAME_EXCHANGE) while the runtime works.
// RACE_ROUNDS=10000 for an evening; some rounds fail, which is allowed: nothing may happen outside of the roots.
const rounds = Number(process.env.RACE_ROUNDS ?? 25);

/** Two names that change places for ever. */
async function exchange(one: string, other: string): Promise<Disposable> {
  const child = spawn(helper("exchange"), [one, other], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return { [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

interface Arena {
  readonly volume: string;
  /** A folder of the host that a link in the volume leads to, had the host followed it. */
  readonly outside: string;
}

async function arena(place: Place): Promise<Arena> {
  const [volume, outside] = [join(place.directory, "volume"), join(place.directory, "outside")];
  await mkdir(join(volume, "target"), { recursive: true });
  await mkdir(outside);
  await symlink(`../../../../../../../../..${outside}`, join(volume, "link"));
  await writeFile(join(outside, "secret"), "secret");
  return { volume, outside };
}

const withVolume =
  (volume: string, ...mounts: NonNullable<Spec["mounts"]>) =>
  (spec: Spec): void => {
    spec.mounts?.push({ destination: "/vol", type: "bind", source: volume, options: ["rbind"] }, ...mounts);
  };

async function repeat(bundle: Bundle, check: (stdout: string) => void): Promise<void> {
  let started = 0;
  for (let round = 0; round < rounds; round++) {
    const result = await bundle.run();
    check(result.stdout);
    if (result.code === 0) started++;
  }
  assert.ok(started > 0, "not one container started");
}

test("CVE-2021-30465, CVE-2024-45310: mount points in a volume that is being swapped are made inside of the root", async () => {
  await using place = await Place.make();
  const { volume, outside } = await arena(place);
  const file = join(place.directory, "file");
  await writeFile(file, "file");
  const bundle = await place.bundle(
    both(
      shell("cat /vol/target/deep/file; cat /vol/target/secret; true"),
      withVolume(
        volume,
        { destination: "/vol/target/deep/er", type: "tmpfs", source: "tmpfs", options: [] },
        { destination: "/vol/target/deep/file", type: "bind", source: file, options: ["bind"] },
      ),
    ),
  );
  using _ = await exchange(join(volume, "target"), join(volume, "link"));
  await repeat(bundle, (stdout) => assert.doesNotMatch(stdout, /secret/));
  assert.deepEqual(await readdir(outside), ["secret"]);
});

test("CVE-2019-19921, CVE-2023-27561: a volume's target that turns into a link to /proc is never mounted on", async () => {
  await using place = await Place.make();
  const { volume } = await arena(place);
  await mkdir(join(volume, "attr"));
  await symlink("/proc/self", join(volume, "proc"));
  const bundle = await place.bundle(
    both(
      shell("grep ' /proc/' /proc/self/mountinfo | grep -c volume"),
      withVolume(volume, { destination: "/vol/attr/attr", type: "bind", source: volume, options: ["bind"] }),
    ),
  );
  using _ = await exchange(join(volume, "attr"), join(volume, "proc"));
  for (let round = 0; round < rounds; round++) assert.doesNotMatch((await bundle.run()).stdout, /^[1-9]/);
});

test("CVE-2025-52565: /dev of a volume whose console and devices are being swapped", async () => {
  await using place = await Place.make();
  const { volume, outside } = await arena(place);
  await writeFile(join(volume, "console"), "");
  await symlink(`../../../../../../../..${outside}/secret`, join(volume, "evil"));
  const bundle = await place.bundle(
    both(shell("test -c /dev/console && echo terminal"), (spec) => {
      spec.mounts = (spec.mounts ?? []).filter((mount) => !mount.destination.startsWith("/dev"));
      spec.mounts.push({ destination: "/dev", type: "bind", source: volume, options: ["rbind"] });
      spec.mounts.push({ destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance"] });
      spec.linux = { ...spec.linux, maskedPaths: [], readonlyPaths: [] };
      if (spec.process) spec.process.terminal = true;
    }),
  );
  await symlink("pts/ptmx", join(volume, "ptmx"));
  await writeFile(join(volume, "null"), "");
  using _ = await exchange(join(volume, "console"), join(volume, "evil"));
  for (let round = 0; round < rounds; round++)
    await inTerminal(runtime, ["--root", place.root, "run", "--bundle", bundle.directory, bundle.id]);
  assert.equal(await readFile(join(outside, "secret"), "utf8"), "secret");
  assert.doesNotMatch(await readFile("/proc/self/mountinfo", "utf8"), new RegExp(place.directory));
});

test("CVE-2025-31133: a /dev/null that is being swapped covers no masked path", async () => {
  await using place = await Place.make();
  const { volume } = await arena(place);
  const bundle = await place.bundle(
    both(args("wc", "-c", "/proc/keys"), (spec) => {
      spec.mounts = (spec.mounts ?? []).filter((mount) => !mount.destination.startsWith("/dev"));
      spec.mounts.push({ destination: "/dev", type: "bind", source: volume, options: ["rbind"] });
    }),
  );
  await writeFile(join(volume, "evil"), "evil");
  await symlink("/dev/evil", join(volume, "null"));
  assert.equal((await command("mknod", [join(volume, "good"), "c", "1", "3"])).code, 0);
  using _ = await exchange(join(volume, "null"), join(volume, "good"));
  await repeat(bundle, (stdout) => assert.match(stdout, /^(0 .*\n)?$/));
});
