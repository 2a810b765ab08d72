import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmod, mkdir, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Spec } from "#runtime";
import { defaultFilter } from "../../src/engine/spec/seccomp.ts";
import {
  args,
  type Bundle,
  both,
  command,
  helper,
  inTerminal,
  isOurs,
  isStatic,
  isUnified,
  Place,
  runtime,
  shell,
} from "./launcher-rig.ts";

// The record of this field (THREATS.md, C1): each case fails when its defence is taken out.

const sha256 = async (path: string) =>
  createHash("sha256")
    .update(await readFile(path))
    .digest("hex");

async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  for (const end = Date.now() + 30_000; ; ) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}

test("CVE-2019-5736: a container that runs the runtime's own binary and keeps it open cannot write to it", {
  skip: !isStatic && "the sanitized build cannot start inside",
}, async () => {
  await using place = await Place.make();
  const before = await sha256(runtime);
  // The log's end is a FIFO, so the runtime that was started as /proc/self/exe waits; then its file is opened (not
  // before execve, when it may not be looked into), and written to when nobody executes it any more.
  const attack = [
    "until p=$(grep -l nonsens[e] /proc/[0-9]*/cmdline | head -n 1) && (: < $(dirname $p)/exe) 2> /dev/null; do :; done",
    "exec 3< $(dirname $p)/exe; cat < /tmp/fifo > /dev/null; sleep 0.2; (printf x >> /proc/self/fd/3) && echo WROTE",
    "touch /tmp/done; sleep 1000",
  ];
  const bundle = await place.bundle(shell(attack.join("; ")));
  await symlink("busybox", join(bundle.rootfs, "bin/dirname"));
  await command("mkfifo", [join(bundle.rootfs, "tmp/fifo")]);
  await bundle.detached("run");
  await bundle.exec(["/proc/self/exe", "--log", "/tmp/fifo", "nonsense"]);
  await eventually(() => stat(join(bundle.rootfs, "tmp/done")));
  assert.equal(await sha256(runtime), before);
  assert.doesNotMatch(await readFile(join(bundle.directory, "out"), "utf8"), /WROTE/);
});

test("CVE-2019-5736: nor can it make the runtime's read-only mount writable while the runtime waits for it", {
  skip: (!isOurs && "it looks into minirun's own steps") || (!isStatic && "the sanitized build cannot start inside"),
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("/proc/self/exe", "--log", "/tmp/fifo", "nonsense"));
  const fifo = join(bundle.rootfs, "tmp/fifo");
  await command("mkfifo", [fifo]);
  const run = bundle.run();
  const { pid } = await eventually(() => bundle.state());
  await eventually(async () => assert.match(await readFile(`/proc/${pid}/cmdline`, "utf8"), /nonsense/));
  const unlocked = await command(helper("unlock"), [`/proc/${pid}/exe`]);
  await readFile(fifo);
  await run;
  assert.equal(unlocked.code, 1, unlocked.stderr);
});

/** A process that has entered a paused container's cgroups stands still there: the first that is not the init. */
async function secondProcess(bundle: Bundle): Promise<number> {
  const [folder] = (await bundle.place.cgroupFolders(bundle.id)).filter(
    (path) => isUnified || path.includes("/freezer/"),
  );
  return await eventually(async () => {
    const pids = (await readFile(join(folder ?? "", "cgroup.procs"), "utf8")).trim().split("\n").map(Number);
    const found = pids.find((pid) => pid !== pids[0]);
    assert.ok(found !== undefined);
    return found;
  });
}

test("CVE-2016-9962: an exec'd process is never seen with the host's root, nor a binary that can be made writable", {
  skip: !isOurs && "it looks into minirun's own steps",
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("sleep", "1000"));
  await bundle.detached("run");
  await bundle.call("pause", bundle.id);
  const exec = bundle.exec(["true"], ["--ignore-paused"]);
  const pid = await secondProcess(bundle);
  const [seen, own] = await Promise.all([
    stat(`/proc/${pid}/root/bin/busybox`),
    stat(join(bundle.rootfs, "bin/busybox")),
  ]);
  const unlocked = await command(helper("unlock"), [`/proc/${pid}/exe`]);
  await bundle.call("resume", bundle.id);
  await exec;
  assert.equal(seen.ino, own.ino);
  assert.notEqual(unlocked.code, 0);
});

test("CVE-2016-9962: a process that waits for start holds no folder of the host, and cannot be looked into", {
  skip: !isOurs && "it looks into minirun's own steps",
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("sleep", "1000"));
  await bundle.detached("create");
  const { pid } = await bundle.state();
  for (const fd of await readdir(`/proc/${pid}/fd`))
    assert.ok(!(await stat(`/proc/${pid}/fd/${fd}`)).isDirectory(), await readlink(`/proc/${pid}/fd/${fd}`));
  assert.notEqual((await command(helper("unlock"), [`/proc/${pid}/exe`])).code, 0);
  assert.equal((await bundle.exec(["sh", "-c", "readlink /proc/1/root || echo denied"])).stdout, "denied\n");
});

test("CVE-2024-21626: a working folder behind a descriptor never leads to the host, by create nor by exec", async () => {
  await using place = await Place.make();
  const running = await place.bundle(args("sleep", "1000"));
  await running.detached("run");
  for (let fd = 3; fd < 14; fd++) {
    const bundle = await place.bundle(
      both(shell("ls; cat ../../../../../../etc/shadow"), (spec) => {
        if (spec.process) spec.process.cwd = `/proc/self/fd/${fd}`;
      }),
    );
    const results = [await bundle.run(), await running.exec(["ls"], ["--cwd", `/proc/self/fd/${fd}`])];
    for (const result of results) {
      assert.notEqual(result.code, 0);
      assert.doesNotMatch(result.stdout, /root:|config\.json/);
    }
  }
});

test("CVE-2024-21626: what the caller has left open reaches neither the container nor an exec", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(shell("ls /proc/self/fd | wc -l; exec sleep 1000"));
  const line = (...words: string[]) => [runtime, "--root", place.root, ...words].join(" ");
  const run = line("run", "--detach", "--bundle", bundle.directory, bundle.id);
  await command("bash", ["-c", `exec 7< / 20< /etc/shadow; ${run} < /dev/null > ${bundle.directory}/out 2>&1`]);
  const exec = await command("bash", [
    "-c",
    `exec 7< / 20< /etc/shadow; ${line("exec", bundle.id, "ls", "/proc/self/fd")}`,
  ]);
  assert.equal(exec.stdout.trim().split("\n").length, 4); // the fourth is ls reading the folder
  assert.equal((await readFile(join(bundle.directory, "out"), "utf8")).trim(), "4");
});

/** Masks and nothing else protects /proc here; without a tmpfs on /dev the image's own folder is used. */
const onlyMasks =
  (...masked: string[]) =>
  (spec: Spec) => {
    spec.mounts = (spec.mounts ?? []).filter((mount) => !mount.destination.startsWith("/dev"));
    spec.linux = { ...spec.linux, maskedPaths: masked, readonlyPaths: [] };
  };

test("CVE-2025-31133: /dev/null of the image is not what covers masked paths", async () => {
  await using place = await Place.make();
  const before = await readFile("/proc/sys/kernel/core_pattern", "utf8");
  const attack = shell("printf evil > /proc/keys; cat /proc/keys");
  for (const target of ["/proc/sys/kernel/core_pattern", "/nowhere", "/bin/busybox"]) {
    const bundle = await place.bundle(both(attack, onlyMasks("/proc/keys")));
    await symlink(target, join(bundle.rootfs, "dev/null"));
    assert.notEqual((await bundle.run()).code, 0, target);
  }
  const after = await readFile("/proc/sys/kernel/core_pattern", "utf8");
  await writeFile("/proc/sys/kernel/core_pattern", before);
  assert.equal(after, before);
});

test("CVE-2025-31133: where there is nothing to cover a masked path with, the container does not start", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(args("true"), onlyMasks("/proc/keys"), (spec) => {
      spec.mounts?.push({
        destination: "/dev",
        type: "bind",
        source: join(place.directory, "dev"),
        options: ["rbind"],
      });
    }),
  );
  await mkdir(join(place.directory, "dev"));
  assert.notEqual((await bundle.run()).code, 0);
});

test("CVE-2025-52565: a console or a ptmx of the image's making is not used", async () => {
  await using place = await Place.make();
  const victim = join(place.directory, "victim");
  await writeFile(victim, "");
  const bundle = await place.bundle(
    both(shell("test -t 0 && echo terminal; mount | grep -c victim"), (spec) => {
      spec.mounts = (spec.mounts ?? []).filter((mount) => mount.destination !== "/dev");
      if (spec.process) spec.process.terminal = true;
    }),
  );
  await writeFile(join(bundle.rootfs, "victim"), "");
  for (const target of ["/victim", `../../../../../../../..${victim}`]) {
    await rm(join(bundle.rootfs, "dev/console"), { force: true });
    await symlink(target, join(bundle.rootfs, "dev/console"));
    const result = await inTerminal(runtime, ["--root", place.root, "run", "--bundle", bundle.directory, bundle.id]);
    assert.doesNotMatch(result.stdout, /^[1-9]/m);
    assert.doesNotMatch(await readFile("/proc/self/mountinfo", "utf8"), new RegExp(victim));
  }
  const pretender = await place.bundle((spec) => {
    spec.mounts = (spec.mounts ?? []).filter((mount) => !mount.destination.startsWith("/dev"));
    if (spec.process) spec.process.terminal = true;
  });
  await mkdir(join(pretender.rootfs, "dev/pts"));
  await command("mknod", [join(pretender.rootfs, "dev/pts/ptmx"), "c", "5", "0"]); // whose terminal is /dev/tty?
  const words = ["--root", place.root, "run", "--bundle", pretender.directory, pretender.id];
  assert.notEqual((await inTerminal(runtime, words)).code, 0);
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

test("user ids: no number wraps to root, and digits are never looked up as a name", async () => {
  await using place = await Place.make();
  for (const uid of [4294967296, 4294967295, -1, 1.5]) {
    if (!isOurs && uid === 4294967295) continue; // to setresuid it means: as it is
    const bundle = await place.bundle((spec) => {
      if (spec.process) spec.process.user = { uid, gid: 0 };
    });
    await writeFile(join(bundle.rootfs, "etc/passwd"), "4294967297:x:0:0::/:/bin/sh\nroot:x:0:0::/:/bin/sh\n");
    assert.notEqual((await bundle.run()).code, 0, String(uid));
  }
  const running = await place.bundle(args("sleep", "1000"));
  await running.detached("run");
  for (const user of ["4294967296", "0x0", "-1", "1:4294967296", " 0", "1:", "4294967297"])
    assert.notEqual((await running.exec(["id"], ["--user", user])).code, 0, user);
  assert.match(
    (await running.exec(["id"], ["--user", "2147483648:2147483649"])).stdout,
    /uid=2147483648 gid=2147483649/,
  );
});

test("CVE-2022-36109: supplementary groups are those of the config, and none of the caller's", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(args("sleep", "1000"), (spec) => {
      if (spec.process) spec.process.user = { uid: 5, gid: 6, additionalGids: [6, 4294967294] };
    }),
  );
  const run = [runtime, "--root", place.root, "run", "--detach", "--bundle", bundle.directory, bundle.id].join(" ");
  await command("sh", ["-c", `setpriv --groups 7,8 ${run} < /dev/null > ${bundle.directory}/out 2>&1`]);
  const { pid } = await bundle.state();
  assert.match(await readFile(`/proc/${pid}/status`, "utf8"), /^Groups:\s+6 4294967294 *$/m);
  const exec = ["setpriv", "--groups", "7,8", runtime, "--root", place.root, "exec", bundle.id, "grep", "Groups:"];
  const { stdout } = await command(exec[0] ?? "", [...exec.slice(1), "/proc/self/status"]);
  assert.match(stdout, /^Groups:\s+6 4294967294 *$/m);
});

test("CVE-2022-24769: nothing is inheritable, and an exec is bound as the container is (youki#3434)", async () => {
  await using place = await Place.make();
  const sets = "grep -E '^Cap(Inh|Bnd|Amb)' /proc/self/status";
  const bundle = await place.bundle(shell(`${sets}; exec sleep 1000`));
  await bundle.detached("run");
  const exec = (await bundle.exec(["sh", "-c", sets])).stdout;
  assert.match(exec, /CapInh:\s+0{16}\nCapBnd:\s+\w*[1-9a-f]\w*\nCapAmb:\s+0{16}\n/);
  assert.equal(exec, await readFile(join(bundle.directory, "out"), "utf8"));
});

test("passwd of the image may be anything", { skip: !isOurs && "runc reads it whole" }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(shell("echo $HOME"));
  await rm(join(bundle.rootfs, "etc/passwd"));
  await symlink("/dev/zero", join(bundle.rootfs, "etc/passwd"));
  assert.equal((await bundle.run()).stdout, "/\n");
  await rm(join(bundle.rootfs, "etc/passwd"));
  await command("mknod", [join(bundle.rootfs, "etc/passwd"), "p"]);
  assert.equal((await bundle.run()).stdout, "/\n");
});

test("CVE-2023-25809, CVE-2022-0492: cgroups cannot be written to, and no release agent be set", async () => {
  await using place = await Place.make();
  const writes =
    "find /sys/fs/cgroup -type f -name '*' | while read f; do (printf 0 >> $f) 2> /dev/null && echo WROTE $f; done";
  const bundle = await place.bundle(
    both(shell(`ls /sys/fs/cgroup | wc -l; ${writes}; mkdir /sys/fs/cgroup/x && echo MADE`), (spec) => {
      spec.linux?.namespaces?.push({ type: "cgroup" });
    }),
  );
  await symlink("busybox", join(bundle.rootfs, "bin/find"));
  assert.match((await bundle.run()).stdout, /^[1-9]\d*\n$/);
});

test("CVE-2022-0492: behind Docker's filter nobody makes a user namespace to mount cgroups in", async () => {
  await using place = await Place.make();
  const seccomp = defaultFilter({ capabilities: [], architecture: "amd64", kernel: { major: 6, minor: 18 } });
  const attack =
    "unshare -UrC sh -c 'mount -t cgroup -o memory cgroup /tmp && echo MOUNTED'; unshare -U true && echo UNSHARED";
  const bundle = await place.bundle(
    both(shell(`${attack}; echo done`), (spec) => {
      if (seccomp) spec.linux = { ...spec.linux, seccomp };
    }),
  );
  await symlink("busybox", join(bundle.rootfs, "bin/unshare"));
  assert.equal((await bundle.run()).stdout, "done\n");
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
