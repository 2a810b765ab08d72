import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmod, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { args, both, isOurs, Place, runtime, shell } from "./launcher-rig.ts";

// The record of this field (THREATS.md, C1): each case fails when its defence is taken out.

test("CVE-2019-5736: a container whose program is /proc/self/exe cannot write to the runtime", async () => {
  await using place = await Place.make();
  const before = createHash("sha256")
    .update(await readFile(runtime))
    .digest("hex");
  const bundle = await place.bundle(
    shell(
      "for i in $(seq 300); do for p in /proc/[0-9]*/exe; do (printf x >> $p) 2>/dev/null && case $(readlink $p) in *busybox*) ;; *) echo WROTE $p;; esac; done; done; sleep 1000",
    ),
  );
  await writeFile(join(bundle.rootfs, "bin/evil"), "#!/proc/self/exe\n", { mode: 0o755 });
  await bundle.detached("run");
  for (let i = 0; i < 10; i++) await bundle.exec(["/bin/evil"]);
  assert.equal(
    createHash("sha256")
      .update(await readFile(runtime))
      .digest("hex"),
    before,
  );
  assert.doesNotMatch(await readFile(join(bundle.directory, "out"), "utf8"), /WROTE/);
});

test("CVE-2024-21626: a working folder behind a descriptor never leads to the host", async () => {
  await using place = await Place.make();
  for (let fd = 3; fd < 40; fd++) {
    const bundle = await place.bundle(
      both(shell("ls; cat ../../../../../../etc/shadow"), (spec) => {
        if (spec.process) spec.process.cwd = `/proc/self/fd/${fd}`;
      }),
    );
    const result = await bundle.run();
    assert.notEqual(result.code, 0);
    assert.doesNotMatch(result.stdout, /root:|config\.json/);
  }
});

test("CVE-2025-31133: /dev/null of the image is not what covers masked paths", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(
      shell(
        "wc -c < /proc/keys; cat /proc/sys/kernel/core_pattern > /tmp/x; echo evil > /proc/keys; cat /proc/sys/kernel/core_pattern | grep -c evil",
      ),
      (spec) => {
        // Without a tmpfs on /dev the image's own folder is used.
        spec.mounts = (spec.mounts ?? []).filter((mount) => !mount.destination.startsWith("/dev"));
      },
    ),
  );
  await symlink("/proc/sys/kernel/core_pattern", join(bundle.rootfs, "dev/null"));
  const result = await bundle.run();
  assert.doesNotMatch(result.stdout, /\n1\n$/);
  assert.doesNotMatch(await readFile("/proc/sys/kernel/core_pattern", "utf8"), /evil/);
});

test("CVE-2026-41579: an image whose /dev is a link makes nothing on the host", async () => {
  await using place = await Place.make();
  const outside = join(place.directory, "outside");
  await mkdir(outside);
  const bundle = await place.bundle((spec) => {
    spec.mounts = (spec.mounts ?? []).filter((mount) => !mount.destination.startsWith("/dev"));
  });
  await rm(join(bundle.rootfs, "dev"), { recursive: true });
  await symlink(`../../../../../../../..${outside}`, join(bundle.rootfs, "dev"));
  await bundle.run();
  assert.deepEqual(await readdir(outside), []);
});

for (const target of ["/proc", "/proc/self", "/proc/sys/kernel", "/link-to-proc", "/link-to-proc/self/attr"])
  test(`CVE-2019-16884, CVE-2023-27561: nothing may be mounted on ${target}`, async () => {
    await using place = await Place.make();
    const volume = join(place.directory, "volume");
    await mkdir(join(volume, "self/attr"), { recursive: true });
    const bundle = await place.bundle((spec) => {
      spec.mounts?.push({ destination: target, type: "bind", source: volume, options: ["rbind"] });
    });
    await symlink("/proc", join(bundle.rootfs, "link-to-proc"));
    assert.notEqual((await bundle.run()).code, 0);
  });

test("procfs is not mounted through a link of the image", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle();
  await rm(join(bundle.rootfs, "proc"), { recursive: true });
  await symlink("/tmp", join(bundle.rootfs, "proc"));
  assert.notEqual((await bundle.run()).code, 0);
});

test("CVE-2021-30465, CVE-2024-45310: a mount target's links and missing folders stay inside the root", async () => {
  await using place = await Place.make();
  const outside = join(place.directory, "outside");
  await mkdir(outside);
  const bundle = await place.bundle((spec) => {
    for (const destination of ["/escape/a/b", "/absolute/c/d"])
      spec.mounts?.push({ destination, type: "tmpfs", source: "tmpfs", options: [] });
  });
  await symlink(`../../../../../../..${outside}`, join(bundle.rootfs, "escape"));
  await symlink(outside, join(bundle.rootfs, "absolute"));
  assert.equal((await bundle.run()).code, 0);
  assert.deepEqual(await readdir(outside), []);
});

test("a sysctl's name cannot climb out of its namespace", async () => {
  await using place = await Place.make();
  const before = await readFile("/proc/sys/kernel/core_pattern", "utf8");
  for (const name of [
    "kernel.core_pattern",
    "net.//.kernel.core_pattern",
    "net/../kernel/core_pattern",
    "net.ipv4.//.//.kernel.core_pattern",
  ]) {
    const bundle = await place.bundle((spec) => {
      spec.linux = { ...spec.linux, sysctl: { [name]: "evil" } };
    });
    assert.notEqual((await bundle.run()).code, 0, name);
  }
  assert.equal(await readFile("/proc/sys/kernel/core_pattern", "utf8"), before);
});

test("user ids: no number wraps to root", async () => {
  await using place = await Place.make();
  for (const uid of [4294967296, -1, 1.5]) {
    const bundle = await place.bundle((spec) => {
      if (spec.process) spec.process.user = { uid, gid: 0 };
    });
    assert.notEqual((await bundle.run()).code, 0, String(uid));
  }
});

test("passwd of the image may be anything", { skip: !isOurs && "runc reads it whole" }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(shell("echo $HOME"));
  await rm(join(bundle.rootfs, "etc/passwd"));
  await symlink("/dev/zero", join(bundle.rootfs, "etc/passwd"));
  assert.equal((await bundle.run()).stdout, "/\n");
});

test("a container without CAP_SYS_ADMIN cannot mount, nor reach the host's processes", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    shell("mount -t proc proc /tmp || echo refused; ls -d /proc/[0-9]* | wc -l; kill -0 2 2>/dev/null || echo alone"),
  );
  assert.match((await bundle.run()).stdout, /^refused\n/);
});

test("the state folder and an unusual bundle: ids with a path are refused", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle();
  await chmod(bundle.directory, 0o700);
  for (const id of ["../x", "a/b", "", ".", ".."]) {
    const result = await place.runtime(["run", "--bundle", bundle.directory, id]);
    assert.notEqual(result.code, 0, id);
  }
  assert.equal((await place.bundle(args("true"))).id.length, 13);
});
