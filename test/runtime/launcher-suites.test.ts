import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { readFile, rename, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import type { Spec } from "#runtime";
import { args, both, command, Place, runtime, shell } from "./launcher-rig.ts";

// What the suites of crun and of runtime-tools ask for, where runc is silent or older.

const onlyCrun = basename(runtime) === "runc" && "runc has none of this";
const bounding = /^CapBnd:\s+(\w+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
const hasSysResource = ((BigInt(`0x${bounding}`) >> 24n) & 1n) === 1n;
const oldRunc = basename(runtime) === "runc" && "runc 1.1 has none of this";

const mount = (destination: string, source: string, ...options: string[]) => {
  return (spec: Spec): void => {
    spec.mounts?.push({ destination, type: "bind", source, options: ["bind", ...options] });
  };
};

/** Sections that the spec got after our types were written. */
const linux = (section: object) => {
  return (spec: Spec): void => {
    spec.linux = Object.assign({}, spec.linux, section);
  };
};

async function output(...changes: ((spec: Spec) => void)[]): Promise<string> {
  await using place = await Place.make();
  const result = await (await place.bundle(both(...changes))).run();
  assert.equal(result.code, 0, result.stderr);
  return result.stdout;
}

test("--config: another file than config.json, for create and for every exec", { skip: onlyCrun }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("sleep", "1000"));
  await rename(join(bundle.directory, "config.json"), join(bundle.directory, "other.json"));
  assert.notEqual((await bundle.run()).code, 0);
  const started = await bundle.detached("run", "--config", "other.json");
  assert.equal(started.code, 0, started.stderr);
  assert.equal((await bundle.exec(["echo", "here"])).stdout, "here\n");
});

test("--cgroup-manager disabled: the container stays in our own cgroups", { skip: onlyCrun }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("cat", "/proc/self/cgroup"));
  const words = ["--root", place.root, "--cgroup-manager", "disabled", "run", "--bundle", bundle.directory, bundle.id];
  const result = await command(runtime, words);
  assert.equal(result.code, 0, result.stderr);
  assert.doesNotMatch(result.stdout, new RegExp(bundle.id));
});

test("links: src-nofollow and dest-nofollow mount on them, copy-symlink copies", { skip: onlyCrun }, async () => {
  await using place = await Place.make();
  const link = join(place.directory, "link");
  const bundle = await place.bundle(
    both(
      mount("/there", link, "src-nofollow", "dest-nofollow"),
      mount("/a/copy", link, "copy-symlink"),
      shell("readlink /there; readlink /a/copy; grep -c ' /there ' /proc/self/mountinfo"),
    ),
  );
  await symlink("point-to-nowhere", link);
  await symlink("elsewhere", join(bundle.rootfs, "there"));
  const result = await bundle.run();
  assert.equal(result.stdout, "point-to-nowhere\npoint-to-nowhere\n1\n", result.stderr);
});

test("a bind mount on / is the new root, one on a link to / is refused", { skip: onlyCrun }, async () => {
  await using place = await Place.make();
  const other = await place.bundle();
  await writeFile(join(other.rootfs, "mark"), "the other root\n");
  const root = await place.bundle((spec) => {
    args("cat", "/mark")(spec);
    spec.mounts?.unshift({ destination: "/", type: "bind", source: other.rootfs, options: ["bind"] });
  });
  const result = await root.run();
  assert.equal(result.stdout, "the other root\n", result.stderr);
  const linked = await place.bundle(mount("/link", other.rootfs));
  await symlink("/", join(linked.rootfs, "link"));
  assert.match((await linked.run()).stderr, /mountpoint is on the top of rootfs/);
});

test("options that mean nothing to a bind mount are left out", { skip: onlyCrun }, async () => {
  const stdout = await output(
    mount("/mnt", "/etc", "size=1k", "ro"),
    shell("grep -c ' /mnt ro,' /proc/self/mountinfo"),
  );
  assert.equal(stdout, "1\n");
});

test("linux.memoryPolicy: mode, flags and nodes", { skip: oldRunc }, async () => {
  const policy = { mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_RELATIVE_NODES"] };
  const stdout = await output(linux({ memoryPolicy: policy }), args("head", "-1", "/proc/self/numa_maps"));
  assert.match(stdout, / bind=relative:0 /);
  for (const wrong of [{}, { mode: "X" }, { mode: "MPOL_BIND", flags: ["X"] }, { mode: "MPOL_BIND", nodes: "0-" }]) {
    await using place = await Place.make();
    assert.match((await (await place.bundle(linux({ memoryPolicy: wrong }))).run()).stderr, /memory ?policy/i);
  }
});

test("a user namespace without mappings has ourselves as its root", { skip: onlyCrun }, async () => {
  const own = (spec: Spec) => {
    spec.linux?.namespaces?.push({ type: "user" });
    spec.mounts = spec.mounts?.filter(({ type }) => type !== "devpts") ?? [];
  };
  assert.match(await output(own, args("cat", "/proc/self/uid_map")), /^\s+0\s+0\s+1\n$/);
});

test("the annotation of --group-add keep-groups keeps the caller's groups", { skip: onlyCrun }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle((spec) => {
    args("id", "-G")(spec);
    spec.annotations = { "run.oci.keep_original_groups": "1" };
  });
  const words = [runtime, "--root", place.root, "run", "--bundle", bundle.directory, bundle.id];
  const result = await command("setpriv", ["--groups", "0,7,8", ...words]);
  assert.equal(result.stdout, "0 7 8\n", result.stderr);
});

test("delete --regex and kill --regex take every container that matches", { skip: onlyCrun }, async () => {
  await using place = await Place.make();
  const bundles = [await place.bundle(args("sleep", "1000")), await place.bundle(args("sleep", "1000"))];
  for (const bundle of bundles) assert.equal((await bundle.detached("run")).code, 0);
  assert.equal((await place.runtime(["kill", "--regex", "^c[0-9a-f]+$", "0"])).code, 0);
  assert.equal((await place.runtime(["delete", "--force", "--regex", "^c[0-9a-f]+$"])).code, 0);
  for (const bundle of bundles) assert.notEqual((await bundle.call("state", bundle.id)).code, 0);
});

test("hooks: without env they have ours, and every poststop hook runs", {
  skip: runtime.endsWith("runc") && "runc stops at the first that fails",
}, async () => {
  await using place = await Place.make();
  const log = join(place.directory, "log");
  const bundle = await place.bundle((spec) => {
    const told = (text: string) => ({ path: "/bin/sh", args: ["sh", "-c", text] });
    spec.hooks = {
      createRuntime: [told(`echo "$PATH" >> ${log}`)],
      poststop: [told("exit 3"), told(`echo poststop >> ${log}`)],
    };
  });
  const result = await bundle.run();
  assert.equal(result.code, 0, result.stderr);
  const { stdout } = await command("cat", [log]);
  assert.equal(stdout, `${process.env.PATH}\npoststop\n`);
});

test("hooks: a poststart hook that fails ends and deletes the container", { skip: onlyCrun }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle((spec) => {
    args("sleep", "1000")(spec);
    spec.hooks = { poststart: [{ path: "/bin/false" }] };
  });
  assert.equal((await bundle.detached("create")).code, 0);
  assert.match((await bundle.call("start", bundle.id)).stderr, /poststart/);
  assert.notEqual((await bundle.call("state", bundle.id)).code, 0);
  assert.deepEqual(await place.cgroupFolders(bundle.id), []);
});

for (const noNewPrivileges of [false, true])
  test(`seccomp: a filter may deny what we call ourselves, no_new_privs ${noNewPrivileges}`, {
    skip: oldRunc,
  }, async () => {
    const names = ["getcwd", "close_range", "faccessat2", "openat2", "clone3", "pidfd_open", "statx"];
    const change = (spec: Spec): void => {
      if (spec.process) Object.assign(spec.process, { noNewPrivileges, cwd: "/bin" });
      spec.linux = {
        ...spec.linux,
        seccomp: { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names, action: "SCMP_ACT_ERRNO" }] },
      };
    };
    assert.equal(await output(change, args("echo", "runs")), "runs\n");
  });

test("--preserve-fds: what is not open is not missed, and nothing of ours gets in", { skip: onlyCrun }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("ls", "/proc/self/fd"));
  const line = [runtime, "--root", place.root, "run", "--bundle", bundle.directory, "--preserve-fds", "50", bundle.id];
  const result = await command("sh", ["-c", `exec "$@" 5</dev/null`, "-", ...line]);
  // 3 is the listing itself.
  assert.deepEqual(result.stdout.trim().split("\n").sort(), ["0", "1", "2", "3", "5"], result.stderr);
});

test("what the spec forbids is refused in words", { skip: onlyCrun }, async () => {
  const cases: readonly (readonly [RegExp, (spec: Spec) => void])[] = [
    [/unsupported ociVersion 2\.0\.0/, (spec) => Object.assign(spec, { ociVersion: "2.0.0" })],
    [/kernel\.domainname.* conflicts/, both((spec) => Object.assign(spec, { domainname: "a" }), sysctl("b"))],
    [/`SCHED_DEADLINE` requires `runtime`/, scheduler({ deadline: 20_000_000 })],
    [/runtime \(9\) must be <= deadline \(8\)/, scheduler({ runtime: 9, deadline: 8 })],
    [/runtime \(9\) must be between 1024/, scheduler({ runtime: 9, deadline: 9 })],
    [
      /unknown seccomp syscall .*moon/,
      (spec) => {
        spec.annotations = { "run.oci.seccomp_fail_unknown_syscall": "1" };
        const syscalls = [{ names: ["moon"], action: "SCMP_ACT_ERRNO" as const }];
        spec.linux = { ...spec.linux, seccomp: { defaultAction: "SCMP_ACT_ALLOW", syscalls } };
      },
    ],
  ];
  await using place = await Place.make();
  for (const [expected, change] of cases) assert.match((await (await place.bundle(change)).run()).stderr, expected);
  for (const id of ["", ".hidden", "a/b", ".."])
    assert.match((await place.runtime(["run", "--bundle", place.directory, id])).stderr, /container ID/i);
});

const sysctl = (domainname: string) => linux({ sysctl: { "kernel.domainname": domainname } });

function scheduler(times: object) {
  return (spec: Spec): void => {
    Object.assign(spec.process ?? {}, { scheduler: { policy: "SCHED_DEADLINE", ...times } });
  };
}

test("a created container that is paused is resumed before it starts", { skip: onlyCrun }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("sleep", "1000"));
  assert.equal((await bundle.detached("create")).code, 0);
  assert.equal((await bundle.call("pause", bundle.id)).code, 0);
  assert.equal((await bundle.state()).status, "paused");
  assert.match((await bundle.call("start", bundle.id)).stderr, /paused/);
  assert.equal((await bundle.call("resume", bundle.id)).code, 0);
  assert.equal((await bundle.state()).status, "created");
  assert.equal((await bundle.call("start", bundle.id)).code, 0);
  assert.equal((await bundle.state()).status, "running");
});

test("start returns when the program runs, after the startContainer hooks", { skip: onlyCrun }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle((spec) => {
    args("sleep", "1000")(spec);
    spec.hooks = { startContainer: [{ path: "/bin/sh", args: ["sh", "-c", "sleep 0.2"], env: ["PATH=/bin"] }] };
  });
  assert.equal((await bundle.detached("create")).code, 0);
  assert.equal((await bundle.call("start", bundle.id)).code, 0);
  assert.equal(await readFile(`/proc/${(await bundle.state()).pid}/comm`, "utf8"), "sleep\n");
});

test("labels that this kernel has no module for are left out with a warning", {
  skip: onlyCrun || (existsSync("/sys/kernel/security/apparmor") && "there is AppArmor"),
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle((spec) => {
    Object.assign(spec.process ?? {}, { apparmorProfile: "docker-default" });
    linux({ mountLabel: "system_u:object_r:container_file_t:s0" })(spec);
  });
  const result = await bundle.run();
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stderr, /docker-default is not applied(.|\n)*container_file_t:s0 is not applied/);
});

test("capabilities that we lack ourselves are left out of every set, the others are given", {
  skip: onlyCrun || (hasSysResource && "we lack none of these"),
}, async () => {
  const all = ["CAP_CHOWN", "CAP_KILL", "CAP_SYS_RESOURCE", "CAP_NET_RAW"];
  const sets = { bounding: all, permitted: all, effective: all, inheritable: all, ambient: all };
  const given = (spec: Spec) => Object.assign(spec.process ?? {}, { capabilities: sets });
  const stdout = await output(
    given,
    shell("grep -E '^Cap(Inh|Bnd|Amb|Eff)' /proc/self/status  | sed 's/.*0x//;s/.*\\t//'"),
  );
  assert.equal(stdout, "0000000000002021\n".repeat(4));
});
