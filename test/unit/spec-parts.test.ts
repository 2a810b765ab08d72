import assert from "node:assert/strict";
import test from "node:test";
import { emptyHostConfig } from "../../src/engine/container/create/empty-host-config.ts";
import { findV1Mounts } from "../../src/engine/spec/cgroup-features.ts";
import { parseRule } from "../../src/engine/spec/devices.ts";
import { overrideEnvironment, withHome } from "../../src/engine/spec/environment.ts";
import { parseCpuList, parseKernelRelease } from "../../src/engine/spec/host-info.ts";
import { rootPropagationOf } from "../../src/engine/spec/propagation.ts";
import { linuxResources } from "../../src/engine/spec/resources.ts";
import { customFilter, defaultFilter } from "../../src/engine/spec/seccomp.ts";
import { mergeTmpfsOptions } from "../../src/engine/spec/tmpfs-options.ts";

test("environment: a bare name removes, an assignment replaces in place", () => {
  assert.deepEqual(overrideEnvironment(["A=1", "B=2"], ["B", "A=3", "C=", "D"]), ["A=3", "C="]);
});

test("environment: HOME is added where it is missing or empty", () => {
  assert.deepEqual(
    withHome(["A=1"], () => "/root"),
    ["A=1", "HOME=/root"],
  );
  assert.deepEqual(
    withHome(["HOME=", "A=1"], () => "/root"),
    ["A=1", "HOME=/root"],
  );
  assert.deepEqual(
    withHome(["HOME=/x"], () => "/root"),
    ["HOME=/x"],
  );
});

test("tmpfs: the last word on each matter wins", () => {
  const given = ["noexec", "nosuid", "nodev", "rprivate", "exec", "size=1m", "ro", "rw", "size=2m", "defaults"];
  assert.deepEqual(mergeTmpfsOptions(given), ["nosuid", "nodev", "rprivate", "exec", "rw", "size=2m"]);
});

test("tmpfs: an unknown option is named without its value", () => {
  assert.throws(() => mergeTmpfsOptions(["badopt"]), { message: 'invalid tmpfs option "badopt"' });
  assert.throws(() => mergeTmpfsOptions(["bad=1"]), { message: 'invalid tmpfs option "bad"' });
});

test("devices: a cgroup rule has four parts", () => {
  assert.deepEqual(parseRule("c 1:* mr"), { allow: true, type: "c", major: 1, minor: -1, access: "mr" });
  for (const text of ["c 1:3", "x 1:3 r", "c 1:3 rwx", "c a:3 r", "c 1:3 rwmr"]) {
    assert.throws(() => parseRule(text), { message: `invalid device cgroup rule format: '${text}'` });
  }
});

test("propagation: a shared mount needs a shared source", () => {
  const mountinfo = [
    "20 1 8:1 / / rw - ext4 /dev/sda rw",
    "21 20 8:2 / /shared\\040data rw shared:5 - ext4 /dev/sdb rw",
    "22 20 8:3 / /slave rw master:5 - ext4 /dev/sdc rw",
  ].join("\n");
  const bind = (source: string, propagation: string) =>
    rootPropagationOf([{ type: "bind", source, destination: "/x", isWritable: true, propagation }], mountinfo);
  assert.equal(bind("/plain", "rprivate"), undefined);
  assert.equal(bind("/shared data/sub", "rshared"), "shared");
  assert.equal(bind("/slave", "rslave"), "rslave");
  const implied = { type: "bind", source: "/", destination: "/x", isWritable: true, propagation: "rslave" } as const;
  assert.equal(rootPropagationOf([{ ...implied, isPropagationImplied: true }], mountinfo), undefined);
  assert.throws(() => bind("/slave", "shared"), {
    message: "path /slave is mounted on /slave but it is not a shared mount",
  });
  assert.throws(() => bind("/slavery", "slave"), {
    message: "path /slavery is mounted on / but it is not a shared or slave mount",
  });
});

test("host: cgroup v1 controllers are found by their mount options", () => {
  const mountinfo =
    "30 20 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n31 20 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
  const mounts = findV1Mounts(mountinfo);
  assert.equal(mounts.get("cpuacct"), "/sys/fs/cgroup/cpu,cpuacct");
  assert.equal(mounts.has("unified"), false);
});

test("host: kernel releases and CPU lists", () => {
  assert.deepEqual(parseKernelRelease("6.18.0-rc1-amd64"), { major: 6, minor: 18 });
  assert.deepEqual(parseCpuList("0-2,5\n"), [0, 1, 2, 5]);
  assert.deepEqual(parseCpuList(""), []);
});

test("update: only what is asked for reaches a running container", () => {
  assert.deepEqual(linuxResources(emptyHostConfig), {});
  const asked = { ...emptyHostConfig, NanoCpus: 500_000_000, Memory: 1e8, MemorySwap: -1, PidsLimit: -1 };
  assert.deepEqual(linuxResources(asked), {
    cpu: { period: 100_000, quota: 50_000 },
    memory: { limit: 1e8 },
    pids: { limit: -1 },
  });
});

const target = { capabilities: [], architecture: "amd64", kernel: { major: 6, minor: 1 } };

test("seccomp: a profile that says nothing is no filter", () => {
  assert.equal(customFilter("{}", target), undefined);
});

test("seccomp: sockets of every family but AF_ALG and AF_VSOCK", () => {
  const holds = {
    SCMP_CMP_LT: (a: number, b: number) => a < b,
    SCMP_CMP_EQ: Object.is,
    SCMP_CMP_GT: (a: number, b: number) => a > b,
  };
  const rules = defaultFilter(target)?.syscalls?.filter(({ names }) => names.includes("socket")) ?? [];
  const isAllowed = (family: number) =>
    rules.some(({ args }) => args?.every(({ op, value }) => holds[op as keyof typeof holds](family, Number(value))));
  const refused = Array.from({ length: 64 }, (_, family) => family).filter((family) => !isAllowed(family));
  assert.deepEqual(refused, [38, 40]);
});

test("seccomp: what a profile cannot say is told as dockerd tells it", () => {
  const fails = (json: string, message: string) => assert.throws(() => customFilter(json, target), { message });
  fails("{", "Decoding seccomp profile failed: unexpected end of JSON input");
  fails("", "Decoding seccomp profile failed: unexpected end of JSON input");
  fails(
    '{"architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}',
    "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
  );
  fails(
    '{"syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_ALLOW"}]}',
    "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'",
  );
});
