import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { findCgroupPaths, listPids, readStats } from "#runtime";
import { parseCgroupPaths } from "../../src/runtime/cgroup.ts";
import { Rig, waitFor } from "./shim-rig.ts";

const hybridMounts = `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`;

test("cgroup paths: a hybrid host has the v1 controllers by name, and the unified one", () => {
  const membership = "9:name=systemd:/d/x\n4:memory:/d/x\n2:cpu,cpuacct:/d/x\n3:pids:/d/x\n0::/d/x\n";
  assert.deepEqual(parseCgroupPaths(membership, hybridMounts), {
    v1: {
      "name=systemd": "/sys/fs/cgroup/systemd/d/x",
      memory: "/sys/fs/cgroup/memory/d/x",
      cpu: "/sys/fs/cgroup/cpu,cpuacct/d/x",
      cpuacct: "/sys/fs/cgroup/cpu,cpuacct/d/x",
    },
    v2: "/sys/fs/cgroup/unified/d/x",
  });
});

test("cgroup paths: a v2 host, and one that shows only a part of its hierarchy", () => {
  const mounts = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
  assert.deepEqual(parseCgroupPaths("0::/docker/a:b\n", mounts), { v1: {}, v2: "/sys/fs/cgroup/docker/a:b" });
  const part = "30 23 0:26 /docker/outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
  assert.deepEqual(parseCgroupPaths("0::/docker/outer/docker/in\n", part), { v1: {}, v2: "/sys/fs/cgroup/docker/in" });
});

test("stats: a running container's figures are its own", async () => {
  await using rig = await Rig.start();
  const script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000 & echo ready; read x";
  const container = await rig.prepare({ args: ["sh", "-c", script], stdin: "open", memoryBytes: 64 << 20 });
  const task = await container.create();
  const socket = await task.attach({ stdin: false, stdout: true, stderr: true });
  await task.start();
  await waitFor(socket, "ready");
  const paths = findCgroupPaths(task.pid);
  assert.ok(paths);
  const stats = readStats(paths);
  assert.ok(stats.cpu.totalNs > 1_000_000 && stats.cpu.totalNs < 60e9, String(stats.cpu.totalNs));
  assert.equal(stats.memory?.limit, 64 << 20);
  assert.ok((stats.memory?.usage ?? 0) > 0 && (stats.memory?.usage ?? 0) < 64 << 20);
  assert.equal(stats.pids?.current, 2);
  assert.equal(listPids(paths).length, 2);
  assert.ok(listPids(paths).includes(task.pid));
  if (stats.version === 1) assert.equal(stats.cpu.perCpuNs?.reduce((sum, ns) => sum + ns, 0) !== 0, true);
  await task.update({ memory: { limit: 96 << 20, swap: 96 << 20 } });
  assert.equal(readStats(paths).memory?.limit, 96 << 20);
  socket.destroy();
});

test("stats: a process that has ended has no cgroup paths, and a removed cgroup has no figures", async () => {
  assert.equal(findCgroupPaths(2 ** 22 - 1), undefined);
  const stats = readStats({
    v1: { memory: "/sys/fs/cgroup/memory/nosuch", cpuacct: "/sys/fs/cgroup/cpuacct/nosuch" },
  });
  assert.equal(stats.cpu.totalNs, 0);
  assert.equal(stats.memory?.usage, 0);
});

test("stats: v2's files are read with Docker's names", async () => {
  const root = "/sys/fs/cgroup/unified";
  if (!(await readdir("/sys/fs/cgroup")).includes("unified")) return;
  const stats = readStats({ v1: {}, v2: root });
  assert.equal(stats.version, 2);
  const usec = Number(/^usage_usec (\d+)/m.exec(await readFile(`${root}/cpu.stat`, "utf8"))?.[1]);
  assert.ok(stats.cpu.totalNs > 0 && stats.cpu.totalNs <= usec * 1000);
  assert.equal(stats.cpu.perCpuNs, undefined);
});
