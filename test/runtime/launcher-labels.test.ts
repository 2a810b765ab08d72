import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { args, both, command, isOurs, Place, shell } from "./launcher-rig.ts";

// AppArmor and SELinux: in force where the kernel has them (test/vm/runtime.test.ts), and told where it has not.

const hasAppArmor = existsSync("/sys/module/apparmor/parameters/enabled");
const skip = !hasAppArmor && "this kernel has no AppArmor";

const withProfile = (name: string) => (spec: { process?: { apparmorProfile?: string } }) => {
  if (spec.process) spec.process.apparmorProfile = name;
};

/** Loads two profiles that differ in the file that they refuse. */
async function loadProfiles(place: Place): Promise<boolean> {
  const profile = (name: string, refused: string) =>
    `profile minirun-${name} flags=(attach_disconnected) { file, capability, network, mount, umount, signal, ptrace, unix, deny ${refused} rw, }\n`;
  const file = join(place.directory, "profiles");
  await writeFile(file, profile("first", "/first") + profile("second", "/second"));
  if (!existsSync("/sys/kernel/security/apparmor"))
    await command("mount", ["-t", "securityfs", "securityfs", "/sys/kernel/security"]);
  return (await command("apparmor_parser", ["-K", "-r", file])).code === 0;
}

const look = "cat /proc/self/attr/current; cat /first; cat /second; true";

test("AppArmor: the profile is in force in the container, and for exec the one that is asked for", {
  skip,
}, async (t) => {
  await using place = await Place.make();
  if (!(await loadProfiles(place))) return t.skip("no apparmor_parser");
  const bundle = await place.bundle(both(args("sleep", "1000"), withProfile("minirun-first")));
  for (const name of ["first", "second"]) await writeFile(join(bundle.rootfs, name), `${name}\n`);
  const { code } = await bundle.detached("run");
  assert.equal(code, 0, code === 0 ? "" : await readFile(join(bundle.directory, "log"), "utf8"));
  const { pid } = await bundle.state();
  assert.match(await readFile(`/proc/${pid}/attr/current`, "utf8"), /^minirun-first \(enforce\)/);
  const inherited = await bundle.exec(["sh", "-c", look]);
  assert.equal(inherited.stdout, "minirun-first (enforce)\nsecond\n");
  assert.match(inherited.stderr, /\/first.*Permission denied/);
  const chosen = await bundle.exec(["sh", "-c", look], ["--apparmor", "minirun-second"]);
  assert.equal(chosen.stdout, "minirun-second (enforce)\nfirst\n");
});

test("AppArmor: an unknown profile is refused in runc's words", { skip }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(both(shell("echo runs"), withProfile("minirun-unknown")));
  const { code, stdout, stderr } = await bundle.run();
  assert.equal(stdout, "");
  assert.equal(code, 1);
  assert.match(stderr, /apparmor failed to apply profile: write .*attr\/apparmor\/exec: no such file or directory/);
});

test("AppArmor: without it a profile costs one line", {
  skip: hasAppArmor && "this kernel has AppArmor",
}, async (t) => {
  if (!isOurs) return t.skip("runc refuses, crun says nothing");
  await using place = await Place.make();
  const bundle = await place.bundle(both(shell("echo runs"), withProfile("minirun-unknown")));
  const { stdout, stderr } = await bundle.run();
  assert.equal(stdout, "runs\n");
  assert.match(stderr, /^[^\n]*no AppArmor[^\n]*minirun-unknown[^\n]*\n$/);
});

test("SELinux: without it a label is refused", {
  skip: existsSync("/sys/fs/selinux/enforce") && "has SELinux",
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle((spec) => {
    if (spec.process) spec.process.selinuxLabel = "system_u:system_r:container_t:s0:c1,c2";
  });
  const { code, stderr } = await bundle.run();
  assert.notEqual(code, 0);
  assert.match(stderr, /selinux/i);
});
