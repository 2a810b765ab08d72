import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chown, mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import type { Spec } from "#runtime";
import { args, type Bundle, both, command, isOurs, isUnified, Place, runtime, shell } from "./launcher-rig.ts";

// Limits, devices, freezing, statistics: on this machine's cgroups, and on nothing but cgroup v2 in test/vm/runtime.test.ts.

type Resources = NonNullable<NonNullable<Spec["linux"]>["resources"]>;
type Change = (spec: Spec) => void;

const mebibyte = 1024 * 1024;
const controllers = isUnified ? (await readFile("/sys/fs/cgroup/cgroup.controllers", "utf8")).trim().split(" ") : [];
const hasController = (v1: string, v2: string): boolean =>
  isUnified ? controllers.includes(v2) : existsSync(`/sys/fs/cgroup/${v1}`);

const resources =
  (wanted: Readonly<Record<string, unknown>>): Change =>
  (spec) => {
    spec.linux = { ...spec.linux, resources: { ...spec.linux?.resources, ...wanted } as Resources };
  };

const linux =
  (wanted: Readonly<Record<string, unknown>>): Change =>
  (spec) => {
    spec.linux = { ...spec.linux, ...wanted };
  };

const ownCgroupNamespace: Change = (spec) => spec.linux?.namespaces?.push({ type: "cgroup" });

const writableCgroups: Change = (spec) => {
  for (const mount of spec.mounts ?? [])
    if (mount.type === "cgroup") mount.options = ["rw", "nosuid", "noexec", "nodev"];
};

function folder(bundle: Bundle, controller: string): string {
  return join("/sys/fs/cgroup", isUnified ? "" : controller, bundle.place.cgroup, bundle.id);
}

/** A setting of the container's own group: "memory.limit_in_bytes | memory.max". */
async function setting(bundle: Bundle, names: string): Promise<string> {
  const [v1 = "", v2 = v1] = names.split(" | ");
  const name = isUnified ? v2 : v1;
  return (await readFile(join(folder(bundle, v1.split(".")[0] ?? ""), name), "utf8")).trim();
}

async function expectSettings(bundle: Bundle, wanted: Readonly<Record<string, string>>): Promise<void> {
  for (const [names, value] of Object.entries(wanted)) {
    const [v1 = value, v2 = v1] = value.split(" | ");
    assert.equal(await setting(bundle, names), isUnified ? v2 : v1, names);
  }
}

async function running(place: Place, ...changes: Change[]): Promise<Bundle> {
  const bundle = await place.bundle(both(args("sleep", "1000"), ...changes));
  const { code } = await bundle.detached("run");
  assert.equal(code, 0, code === 0 ? "" : await readFile(join(bundle.directory, "out"), "utf8"));
  return bundle;
}

/** What a runtime that has to refuse says: on standard error or in its log. */
async function refusal(place: Place, ...changes: Change[]): Promise<string> {
  const bundle = await place.bundle(both(args("true"), ...changes));
  const { code, stderr } = await bundle.run();
  assert.notEqual(code, 0);
  assert.deepEqual(await place.cgroupFolders(bundle.id), []);
  return stderr;
}

test("resources: what create asks for is in the container's group", async () => {
  await using place = await Place.make();
  const bundle = await running(
    place,
    resources({
      memory: { limit: 64 * mebibyte, swap: 96 * mebibyte, reservation: 32 * mebibyte },
      cpu: { shares: 262144, quota: 50000, period: 200000, cpus: "0", mems: "0" },
      pids: { limit: 77 },
    }),
  );
  await expectSettings(bundle, {
    "memory.limit_in_bytes | memory.max": `${64 * mebibyte}`,
    "memory.memsw.limit_in_bytes | memory.swap.max": `${96 * mebibyte} | ${32 * mebibyte}`,
    "memory.soft_limit_in_bytes | memory.low": `${32 * mebibyte}`,
    "cpu.shares | cpu.weight": "262144 | 10000",
    "cpuset.cpus | cpuset.cpus": "0",
    "cpuset.mems | cpuset.mems": "0",
    "pids.max | pids.max": "77",
  });
  if (isUnified) return assert.equal(await setting(bundle, "cpu.max"), "50000 200000");
  await expectSettings(bundle, { "cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "200000" });
});

test("resources: -1 is no limit, 0 and empty sections are no wish", async () => {
  await using place = await Place.make();
  const bundle = await running(
    place,
    resources({ memory: { limit: -1 }, cpu: { quota: -1, shares: 0 }, pids: { limit: -1 }, blockIO: {}, network: {} }),
  );
  const { stdout, stderr } = await bundle.exec(["true"]);
  assert.equal(stdout + stderr, "");
  await expectSettings(bundle, { "pids.max": "max", "cpu.shares | cpu.weight": "1024 | 100" });
  if (isUnified) await expectSettings(bundle, { "memory.max": "max", "cpu.max": "max 100000" });
  else await expectSettings(bundle, { "cpu.cfs_quota_us": "-1" });
});

test("resources: the weight of shares is the curve of runc 1.3", {
  skip: !isUnified && "needs cgroup v2",
}, async (t) => {
  if (!isOurs) return t.skip("an older runc has another curve");
  await using place = await Place.make();
  const bundle = await running(place, resources({ cpu: { shares: 2048, burst: 1000, quota: 2000, idle: 0 } }));
  await expectSettings(bundle, { "cpu.weight": "174", "cpu.max.burst": "1000", "cpu.idle": "0" });
  const { code, stderr } = await bundle.call("update", "--cpu-share", "1024", bundle.id);
  assert.equal(code, 0, stderr);
  assert.equal(await setting(bundle, "cpu.weight"), "100");
});

test("resources: huge pages are limited wherever their controller is", async (t) => {
  if (!existsSync("/sys/kernel/mm/hugepages/hugepages-2048kB")) return t.skip("no huge pages on this machine");
  const inUnified = isUnified ? "" : existsSync("/sys/fs/cgroup/hugetlb") ? undefined : "unified";
  if (!isOurs && inUnified === "unified") return t.skip("runc and crun look for controllers of v1 only");
  await using place = await Place.make();
  const bundle = await running(place, resources({ hugepageLimits: [{ pageSize: "2MB", limit: 4 * mebibyte }] }));
  const group = join("/sys/fs/cgroup", inUnified ?? "hugetlb", place.cgroup, bundle.id);
  const suffix = inUnified === undefined ? "limit_in_bytes" : "max";
  for (const name of (await readdir(group)).filter(
    (file) => /^hugetlb\.2MB\./.test(file) && file.endsWith(suffix) && (isOurs || !file.includes("rsvd")),
  ))
    assert.equal((await readFile(join(group, name), "utf8")).trim(), String(4 * mebibyte), name);
});

test("resources: throttles and weights of block devices", async (t) => {
  const disk = (await readdir("/sys/block")).find((name) => /^(vd|sd|nvme|loop)/.test(name));
  if (disk === undefined || !hasController("blkio", "io")) return t.skip("no block device or no controller for it");
  const [major, minor] = (await readFile(`/sys/block/${disk}/dev`, "utf8")).trim().split(":").map(Number);
  const throttle = (rate: number) => [{ major, minor, rate }];
  await using place = await Place.make();
  const bundle = await running(
    place,
    resources({
      blockIO: {
        ...(isUnified ? { weight: 750 } : {}),
        throttleReadBpsDevice: throttle(mebibyte),
        throttleWriteBpsDevice: throttle(2 * mebibyte),
        throttleReadIOPSDevice: throttle(33),
        throttleWriteIOPSDevice: throttle(44),
      },
    }),
  );
  if (!isUnified) {
    assert.equal(await setting(bundle, "blkio.throttle.read_bps_device"), `${major}:${minor} ${mebibyte}`);
    return assert.equal(await setting(bundle, "blkio.throttle.write_iops_device"), `${major}:${minor} 44`);
  }
  assert.equal(await setting(bundle, "io.weight"), "default 7475");
  const limits = `${major}:${minor} rbps=${mebibyte} wbps=${2 * mebibyte} riops=33 wiops=44`;
  assert.equal(await setting(bundle, "io.max"), limits);
});

test("resources: a missing controller costs one line, not the container", async (t) => {
  if (!isOurs) return t.skip("runc and crun refuse");
  if (!isUnified && existsSync("/sys/fs/cgroup/net_cls")) return t.skip("this machine has net_cls");
  await using place = await Place.make();
  const bundle = await place.bundle(both(args("echo", "runs"), resources({ network: { classID: 5 } })));
  const { stdout, stderr } = await bundle.run();
  assert.equal(stdout, "runs\n");
  assert.match(stderr, /^[^\n]*net_cls[^\n]*network is not applied[^\n]*\n$/);
});

test("resources: `unified` names files of v2, and is refused on v1", async () => {
  await using place = await Place.make();
  const wanted = { "memory.high": String(50 * mebibyte), "pids.max": "9" };
  if (!isUnified)
    return assert.match(await refusal(place, resources({ unified: wanted })), /cannot use unified on cgroup v1/);
  const bundle = await running(place, resources({ unified: wanted }));
  await expectSettings(bundle, { "memory.high": wanted["memory.high"], "pids.max": "9" });
  const refused = (unified: Readonly<Record<string, string>>) => refusal(place, resources({ unified }));
  assert.match(await refused({ "cgroup/x": "1" }), /must be a file name \(no slashes\)/);
  assert.match(await refused({ nonsense: "1" }), /must be in the form CONTROLLER\.PARAMETER/);
  assert.match(await refused({ "foo.bar": "1" }), /can't be set: controller \\?"foo\\?" not available/);
  assert.match(await refused({ "memory.nonsense": "1" }), /unable to set unified resource/);
});

test("resources: a memory limit too low for the container's start is told", async () => {
  await using place = await Place.make();
  const stderr = await refusal(
    place,
    resources({ memory: { limit: isUnified ? 4096 : 1024, swap: isUnified ? 4096 : 1024 } }),
  );
  assert.match(stderr, /OOM-killed|memory limit/);
});

test("update: memory and swap grow and shrink together", async () => {
  await using place = await Place.make();
  const bundle = await running(place, resources({ memory: { limit: 64 * mebibyte, swap: 64 * mebibyte } }));
  for (const [limit, swap] of [
    [128, 256],
    [32, 48],
    [96, 96],
  ] as const) {
    const { code, stderr } = await bundle.call(
      "update",
      "--memory",
      `${limit}m`,
      "--memory-swap",
      `${swap}M`,
      bundle.id,
    );
    assert.equal(code, 0, stderr);
    await expectSettings(bundle, {
      "memory.limit_in_bytes | memory.max": String(limit * mebibyte),
      "memory.memsw.limit_in_bytes | memory.swap.max": `${swap * mebibyte} | ${(swap - limit) * mebibyte}`,
    });
  }
});

test("update: memory alone keeps the sum with swap", { skip: !isUnified && "v1 counts the sum itself" }, async (t) => {
  if (!isOurs) return t.skip("not so before runc 1.2");
  await using place = await Place.make();
  const bundle = await running(place, resources({ memory: { limit: 64 * mebibyte, swap: 128 * mebibyte } }));
  const { code, stderr } = await bundle.call("update", "--memory", "96m", bundle.id);
  assert.equal(code, 0, stderr);
  await expectSettings(bundle, { "memory.max": `${96 * mebibyte}`, "memory.swap.max": `${32 * mebibyte}` });
});

test("resources: a swap of zero beside no limit forbids swap", {
  skip: !isUnified && "v1 counts both together",
}, async (t) => {
  if (!isOurs) return t.skip("crun does so, runc does not");
  await using place = await Place.make();
  await expectSettings(await running(place, resources({ memory: { swap: 0 } })), { "memory.swap.max": "0" });
  const limited = await running(place, resources({ memory: { limit: 64 * mebibyte, swap: 0 } }));
  await expectSettings(limited, { "memory.swap.max": "max" });
});

test("update: a quota keeps the period, a period the quota", async () => {
  await using place = await Place.make();
  const bundle = await running(place, resources({ cpu: { quota: 50000, period: 200000 } }));
  const both = async () =>
    isUnified
      ? await setting(bundle, "cpu.max")
      : `${await setting(bundle, "cpu.cfs_quota_us")} ${await setting(bundle, "cpu.cfs_period_us")}`;
  await bundle.call("update", "--cpu-quota", "60000", bundle.id);
  assert.equal(await both(), "60000 200000");
  await bundle.call("update", "--cpu-period", "150000", bundle.id);
  assert.equal(await both(), "60000 150000");
});

test("update: a document of resources comes from a file or standard input", async () => {
  await using place = await Place.make();
  const bundle = await running(place);
  const wanted = JSON.stringify({ pids: { limit: 55 }, memory: { limit: 40 * mebibyte, swap: 40 * mebibyte } });
  await writeFile(join(bundle.directory, "resources.json"), wanted);
  const first = await bundle.call("update", "-r", join(bundle.directory, "resources.json"), bundle.id);
  assert.equal(first.code, 0, first.stderr);
  await expectSettings(bundle, { "pids.max": "55", "memory.limit_in_bytes | memory.max": `${40 * mebibyte}` });
  const input = JSON.stringify({ pids: { limit: 66 } });
  const second = await place.runtime(["update", "--resources", "-", bundle.id], { input });
  assert.equal(second.code, 0, second.stderr);
  await expectSettings(bundle, { "pids.max": "66", "memory.limit_in_bytes | memory.max": `${40 * mebibyte}` });
  const third = await bundle.call("update", "--memory", "1 potato", bundle.id);
  assert.match(third.stderr, /invalid value for memory: invalid (size|suffix): '(1 )?potato'/);
});

test("update: checkBeforeUpdate refuses a limit below what is used", {
  skip: !isUnified && "v1 always refuses",
}, async (t) => {
  if (!isOurs) return t.skip("since runc 1.1.6");
  await using place = await Place.make();
  const bundle = await running(place);
  const input = JSON.stringify({ memory: { limit: 4096, checkBeforeUpdate: true } });
  const { code, stderr } = await place.runtime(["update", "-r", "-", bundle.id], { input });
  assert.equal(code, 1);
  assert.match(stderr, /rejecting memory limit 4096 <= usage \d+/);
  assert.equal((await bundle.state()).status, "running");
});

/** A device without a driver: who may open it hears that there is none, who may not is told just that. */
const tryDevices = `mknod /tmp/d c 240 7; t() { ! grep -q "not permitted" && echo $1; }
(exec 3</tmp/d) 2>&1 | t read; (exec 3>/tmp/d) 2>&1 | t write; (exec 3<>/tmp/d) 2>&1 | t both; (exec 3</dev/zero) 2>&1 | t zero`;

test("devices: without rules a node may be made, but only the usual ones opened", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(both(shell(tryDevices), linux({ resources: undefined })));
  const { stdout, stderr } = await bundle.run();
  assert.equal(stdout, "zero\n", stderr);
});

test("devices: rules allow what they name, and those for one node add up", async () => {
  await using place = await Place.make();
  const rule = (access: string) => ({ allow: true, type: "c", major: 240, minor: 7, access });
  const readOnly = await place.bundle(
    both(shell(tryDevices), resources({ devices: [{ allow: false, access: "rwm" }, rule("r")] })),
  );
  assert.equal((await readOnly.run()).stdout, "read\nzero\n");
  const whole = await place.bundle(
    both(shell(tryDevices), resources({ devices: [{ allow: false, access: "rwm" }, rule("r"), rule("w")] })),
  );
  assert.equal((await whole.run()).stdout, "read\nwrite\nboth\nzero\n");
  const open = await place.bundle(both(shell(tryDevices), resources({ devices: [{ allow: true, access: "rwm" }] })));
  assert.equal((await open.run()).stdout, "read\nwrite\nboth\nzero\n");
});

test("devices: an update changes the rules of a running container", async (t) => {
  if (!isOurs) return t.skip("runc ignores devices in updates");
  await using place = await Place.make();
  const bundle = await running(place);
  assert.equal((await bundle.exec(["sh", "-c", tryDevices])).stdout, "zero\n");
  const rule = { allow: true, type: "c", major: 240, minor: 7, access: "rw" };
  for (const [devices, wanted] of [
    [[{ allow: false, access: "rwm" }, rule], "read\nwrite\nboth\nzero\n"],
    [[{ allow: false, access: "rwm" }], "zero\n"],
    [[{ allow: true, access: "rwm" }], "read\nwrite\nboth\nzero\n"],
    [[], "zero\n"],
  ] as const) {
    const input = JSON.stringify({ devices });
    const { code, stderr } = await place.runtime(["update", "-r", "-", bundle.id], { input });
    assert.equal(code, 0, stderr);
    assert.equal((await bundle.exec(["sh", "-c", tryDevices])).stdout, wanted, input);
  }
});

test("pause: processes stand still, exec is refused, kill and delete go through", async () => {
  await using place = await Place.make();
  const bundle = await running(place);
  assert.equal((await bundle.call("pause", bundle.id)).code, 0);
  assert.equal((await bundle.state()).status, "paused");
  assert.match((await bundle.exec(["true"])).stderr, /cannot exec in a paused container/);
  assert.equal((await bundle.call("resume", bundle.id)).code, 0);
  assert.equal((await bundle.state()).status, "running");
  assert.match((await bundle.call("resume", bundle.id)).stderr, /not paused/);
  await bundle.call("pause", bundle.id);
  const { code, stderr } = await bundle.call("delete", "--force", bundle.id);
  assert.equal(code, 0, stderr);
  assert.deepEqual(await place.cgroupFolders(bundle.id), []);
});

test("delete: groups that the container made below its own go with it", async () => {
  await using place = await Place.make();
  const bundle = await running(place, ownCgroupNamespace, writableCgroups);
  const made = await bundle.exec([
    "sh",
    "-ec",
    `cd /sys/fs/cgroup${isUnified ? "" : "/pids"}; mkdir -p a/b c; echo $$ > c/cgroup.procs`,
  ]);
  assert.equal(made.code, 0, made.stderr);
  const { code, stderr } = await bundle.call("delete", "--force", bundle.id);
  assert.equal(code, 0, stderr);
  assert.deepEqual(await place.cgroupFolders(bundle.id), []);
});

test("create: a group with processes in it is no container's, and neither is a frozen one", async (t) => {
  if (!isOurs) return t.skip("an error since runc 1.2");
  await using place = await Place.make();
  const bundle = await running(place);
  const path = `${place.cgroup}/${bundle.id}`;
  const other = await place.bundle(both(args("true"), linux({ cgroupsPath: path })));
  assert.match((await other.run()).stderr, /container's cgroup is not empty: 1 process\(es\) found/);
  assert.equal((await bundle.state()).status, "running");
  const frozen = `${folder(bundle, "freezer")}x`;
  await mkdir(frozen);
  await writeFile(join(frozen, isUnified ? "cgroup.freeze" : "freezer.state"), isUnified ? "1" : "FROZEN");
  const third = await place.bundle(both(args("true"), linux({ cgroupsPath: `${path}x` })));
  assert.match((await third.run()).stderr, /container's cgroup unexpectedly frozen/);
  if (existsSync(frozen)) await rmdir(frozen);
});

test("cgroupsPath: a relative one lies beside or below our own, an absent one is the id, none leads out", async () => {
  await using place = await Place.make();
  const show: Change = shell("cat /proc/self/cgroup");
  const groups = async (change: Change) => {
    const bundle = await place.bundle(both(show, change));
    const { stdout, stderr } = await bundle.run();
    assert.notEqual(stdout, "", stderr);
    return { id: bundle.id, lines: stdout.trim().split("\n") };
  };
  const relative = await groups(linux({ cgroupsPath: `${place.cgroup.slice(1)}-r` }));
  for (const line of relative.lines) assert.ok(line.endsWith(`${place.cgroup}-r`), line);
  const absent = await groups(linux({ cgroupsPath: undefined }));
  for (const line of absent.lines) assert.ok(line.endsWith(`/${absent.id}`), line);
  const climbing = await groups(linux({ cgroupsPath: `/../../../..${place.cgroup}/x` }));
  for (const line of climbing.lines) assert.ok(line.endsWith(`:${place.cgroup}/x`), line);
});

test("exec --cgroup: a group below, never one above", async () => {
  await using place = await Place.make();
  const bundle = await running(place, writableCgroups);
  const prefix = isUnified ? "" : "pids:";
  await mkdir(join(folder(bundle, "pids"), "below"));
  const inside = await bundle.exec(["cat", "/proc/self/cgroup"], ["--cgroup", `${prefix}below`]);
  assert.match(inside.stdout, /\/below$/m, inside.stderr);
  const refused = async (path: string) => (await bundle.exec(["true"], ["--cgroup", path])).stderr;
  assert.match(await refused(`${prefix}..`), /bad sub cgroup path|is not a sub cgroup path/);
  assert.match(await refused(`${prefix}nosuch`), /cgroup.*no such file or directory/);
  if (!isUnified) assert.match(await refused("nosuch:/"), /unknown controller/);
});

test("exec: follows an init that gave its own group's controllers away", {
  skip: !isUnified && "needs cgroup v2",
}, async () => {
  await using place = await Place.make();
  const bundle = await running(place, ownCgroupNamespace, writableCgroups);
  const move =
    "cd /sys/fs/cgroup; mkdir inner; echo 1 > inner/cgroup.procs; echo $$ > inner/cgroup.procs; echo +memory > cgroup.subtree_control";
  const moved = await bundle.exec(["sh", "-ec", move]);
  assert.equal(moved.code, 0, moved.stderr);
  assert.equal((await bundle.exec(["cat", "/proc/self/cgroup"])).stdout, "0::/inner\n");
  assert.match((await bundle.exec(["true"], ["--cgroup", "/"])).stderr, /adding pid \d+ to cgroups.*busy/);
});

test("cgroup namespace: the container sees its group as the root, read-only or as mounted", async () => {
  await using place = await Place.make();
  const look = `cat /proc/self/cgroup; cd /sys/fs/cgroup${isUnified ? "" : "/pids"}; mkdir x 2>/dev/null && rmdir x && echo writable; grep -c . cgroup.procs`;
  const sealed = await place.bundle(both(shell(look), ownCgroupNamespace));
  assert.doesNotMatch((await sealed.run()).stdout, /writable/);
  const open = await place.bundle(both(shell(look), ownCgroupNamespace, writableCgroups));
  const { stdout, stderr } = await open.run();
  assert.match(stdout, /writable/, stderr);
  for (const line of stdout.split("\n").filter((text) => text.includes(":"))) assert.match(line, /:\/$/);
});

test("delegation: root of a user namespace owns what it may manage", {
  skip: !isUnified && "needs cgroup v2",
}, async (t) => {
  if (!isOurs) return t.skip("runc does so with systemd only");
  await using place = await Place.make();
  const mappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
  const bundle = await place.bundle(
    both(
      shell(
        "cd /sys/fs/cgroup; stat -c %u . cgroup.procs memory.max; mkdir mine && echo $$ > mine/cgroup.procs && echo moved",
      ),
      ownCgroupNamespace,
      writableCgroups,
      linux({ uidMappings: mappings, gidMappings: mappings }),
      (spec) => spec.linux?.namespaces?.push({ type: "user" }),
    ),
  );
  const { stdout, stderr } = await bundle.run();
  assert.equal(stdout, "0\n0\n65534\nmoved\n", stderr);
});

test("--cgroup-manager disabled: a container without cgroups", async (t) => {
  if (!isOurs) return t.skip("a flag of crun's");
  await using place = await Place.make();
  const bundle = await place.bundle(both(shell("cat /proc/self/cgroup"), linux({ resources: undefined })));
  const run = ["--cgroup-manager", "disabled", "run", "--bundle", bundle.directory, bundle.id];
  assert.equal((await place.runtime(run)).stdout, await readFile("/proc/self/cgroup", "utf8"));
  const limited = await place.bundle(both(args("true"), resources({ pids: { limit: 5 } })));
  const refused = await place.runtime([
    "--cgroup-manager",
    "disabled",
    "run",
    "--bundle",
    limited.directory,
    limited.id,
  ]);
  assert.match(refused.stderr, /cannot set limits without cgroups/);
});

test("events --stats: the fields of runc", async () => {
  await using place = await Place.make();
  const bundle = await running(place, resources({ pids: { limit: 50 }, memory: { limit: 64 * mebibyte } }));
  await bundle.exec(["sh", "-c", "true"]); // so that something is used
  const { stdout, stderr } = await bundle.call("events", "--stats", bundle.id);
  assert.equal(stderr, "");
  const { type, id, data } = JSON.parse(stdout);
  assert.deepEqual([type, id], ["stats", bundle.id]);
  assert.deepEqual(Object.keys(data).slice(0, 8), [
    "cpu",
    "cpuset",
    "memory",
    "pids",
    "blkio",
    "hugetlb",
    "intel_rdt",
    "network_interfaces",
  ]);
  assert.deepEqual(data.pids, { current: 1, limit: 50 });
  assert.equal(data.memory.usage.limit, 64 * mebibyte);
  assert.ok(data.memory.usage.usage > 0 && data.memory.raw.pgfault > 0 && data.cpu.usage.total > 0);
  assert.deepEqual(Object.keys(data.memory.kernel).slice(0, 1), ["limit"]);
  if (isUnified && isOurs) assert.match(stdout, /"swap":\{"limit":18446744073709551615,.*"psi":\{"some":\{"avg10":/);
});

test("events: an OOM kill is told when it happens, the end of the container ends the stream", {
  timeout: 60_000,
}, async () => {
  await using place = await Place.make();
  const bundle = await running(place, resources({ memory: { limit: 16 * mebibyte, swap: 16 * mebibyte } }));
  const stream = spawn(runtime, ["--root", place.root, "events", "--interval", "100ms", bundle.id]);
  const lines = createInterface({ input: stream.stdout });
  const seen: string[] = [];
  const oom = new Promise<void>((resolve) => {
    lines.on("line", (line) => {
      seen.push(JSON.parse(line).type);
      if (line === `{"type":"oom","id":"${bundle.id}"}`) resolve();
    });
  });
  await once(lines, "line");
  await bundle.exec(["sh", "-c", "tail /dev/zero"]);
  const closed = once(stream, "close"); // the killer may have chosen the init
  await Promise.race([oom, closed]);
  await bundle.call("delete", "--force", bundle.id); // runc waits for the end of the group
  await closed;
  assert.equal(seen[0], "stats");
  assert.ok(seen.includes("oom"));
});

test("ps: the processes as JSON or as the host's ps shows them", async () => {
  await using place = await Place.make();
  const bundle = await running(place);
  const { pid } = await bundle.state();
  const json = await bundle.call("ps", "--format", "json", bundle.id);
  assert.deepEqual(JSON.parse(json.stdout), [pid]);
  assert.match((await bundle.call("ps", "--format", "yaml", bundle.id)).stderr, /invalid format option/);
});

test("kill --all: everybody in the group gets the signal", async () => {
  await using place = await Place.make();
  const bundle = await running(place, (spec) => {
    if (spec.linux) spec.linux.namespaces = spec.linux.namespaces?.filter(({ type }) => type !== "pid") ?? [];
  });
  await bundle.execDetached("sleep", "1001").catch(() => undefined);
  await bundle.exec(["sh", "-c", "sleep 1002 >/dev/null 2>&1 </dev/null &"]);
  const { code, stderr } = await bundle.call("kill", "--all", bundle.id, "KILL");
  assert.equal(code, 0, stderr);
  const { code: removed, stderr: why } = await bundle.call("delete", "--force", bundle.id);
  assert.equal(removed, 0, why);
  assert.deepEqual(await place.cgroupFolders(bundle.id), []);
});

test("rootless: limits hold in a group that was delegated, and are refused without one", {
  skip: !isUnified && "only v2 delegates",
}, async () => {
  await using place = await Place.make();
  const uid = 1000;
  const own = join("/sys/fs/cgroup", place.cgroup);
  await mkdir(join(own, "session"), { recursive: true });
  await writeFile("/sys/fs/cgroup/cgroup.subtree_control", "+memory +pids +cpu");
  for (const file of [
    own,
    join(own, "session"),
    ...["procs", "threads", "subtree_control"].map((name) => join(own, `cgroup.${name}`)),
  ])
    await chown(file, uid, uid);
  await chown(join(own, "session/cgroup.procs"), uid, uid);
  await mkdir(place.root);
  await chown(place.root, uid, uid);
  const asUser = async (bundle: Bundle, session: string) =>
    command("sh", [
      "-c",
      `echo $$ > ${session}/cgroup.procs; exec /usr/bin/setpriv --reuid ${uid} --regid ${uid} --clear-groups env -u XDG_RUNTIME_DIR ${runtime} --root ${place.root} run --bundle ${bundle.directory} ${bundle.id}`,
    ]);
  const rootless: Change = both(
    shell("cat /proc/self/cgroup /sys/fs/cgroup/pids.max"),
    ownCgroupNamespace,
    resources({ pids: { limit: 44 } }),
    linux({
      cgroupsPath: undefined,
      uidMappings: [{ containerID: 0, hostID: uid, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: uid, size: 1 }],
    }),
    (spec) => {
      spec.linux?.namespaces?.push({ type: "user" });
      for (const mount of spec.mounts ?? []) mount.options = mount.options?.filter((word) => word !== "gid=5") ?? [];
    },
  );
  const delegated = await asUser(await place.bundle(rootless), join(own, "session"));
  assert.equal(delegated.stdout, "0::/\n44\n", delegated.stderr);
  const refused = await asUser(await place.bundle(rootless), "/sys/fs/cgroup");
  assert.match(refused.stderr, /rootless needs no limits \+ no cgrouppath when no permission is granted for cgroups/);
  await rmdir(join(own, "session"));
});
