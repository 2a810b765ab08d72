/** Which limits the cgroups of this machine can hold: moby pkg/sysinfo, for v1 (and hybrid) and v2. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface CgroupFeatures {
  readonly version: 1 | 2;
  readonly memoryLimit: boolean;
  readonly swapLimit: boolean;
  readonly memoryReservation: boolean;
  readonly oomKillDisable: boolean;
  readonly memorySwappiness: boolean;
  readonly kernelMemory: boolean;
  readonly kernelMemoryTcp: boolean;
  readonly cpuShares: boolean;
  readonly cpuCfs: boolean;
  readonly cpuRealtime: boolean;
  readonly blkioWeight: boolean;
  readonly blkioWeightDevice: boolean;
  readonly blkioReadBps: boolean;
  readonly blkioWriteBps: boolean;
  readonly blkioReadIops: boolean;
  readonly blkioWriteIops: boolean;
  readonly cpuset: boolean;
  /** As the kernel lists them: "0-3". */
  readonly cpus: string;
  readonly mems: string;
  readonly pidsLimit: boolean;
  readonly devices: boolean;
}

const unifiedRoot = "/sys/fs/cgroup";

export function detectCgroupFeatures(): CgroupFeatures {
  return existsSync(join(unifiedRoot, "cgroup.controllers")) ? detectV2() : detectV1();
}

/** Controller → mount point, for the v1 hierarchies that are mounted. */
export function findV1Mounts(mountinfo: string): ReadonlyMap<string, string> {
  const mounts = new Map<string, string>();
  for (const line of mountinfo.split("\n")) {
    const [left, right] = line.split(" - ");
    const [fsType, , superOptions] = right?.split(" ") ?? [];
    const mountPoint = left?.split(" ")[4];
    if (fsType !== "cgroup" || mountPoint === undefined) continue;
    for (const option of superOptions?.split(",") ?? []) if (!mounts.has(option)) mounts.set(option, mountPoint);
  }
  return mounts;
}

/** Looks for the files that hold limits. */
class V1Probe {
  readonly #mounts = findV1Mounts(readFileSync("/proc/self/mountinfo", "utf8"));

  mountOf(controller: string): string | undefined {
    return this.#mounts.get(controller);
  }

  has(controller: string, file: string): boolean {
    const mount = this.mountOf(controller);
    return mount !== undefined && existsSync(join(mount, file));
  }
}

function detectV1(): CgroupFeatures {
  const probe = new V1Probe();
  const cpuset = probe.mountOf("cpuset");
  return {
    version: 1,
    ...probeMemory(probe),
    cpuShares: probe.has("cpu", "cpu.shares"),
    cpuCfs: probe.has("cpu", "cpu.cfs_quota_us"),
    cpuRealtime: probe.has("cpu", "cpu.rt_period_us"),
    ...probeBlkio(probe),
    cpuset: cpuset !== undefined,
    cpus: cpuset === undefined ? "" : readLine(join(cpuset, "cpuset.cpus")),
    mems: cpuset === undefined ? "" : readLine(join(cpuset, "cpuset.mems")),
    pidsLimit: probe.mountOf("pids") !== undefined,
    devices: probe.mountOf("devices") !== undefined,
  };
}

function probeMemory(probe: V1Probe) {
  return {
    memoryLimit: probe.mountOf("memory") !== undefined,
    swapLimit: probe.has("memory", "memory.memsw.limit_in_bytes"),
    memoryReservation: probe.has("memory", "memory.soft_limit_in_bytes"),
    oomKillDisable: probe.has("memory", "memory.oom_control"),
    memorySwappiness: probe.has("memory", "memory.swappiness"),
    kernelMemory: probe.has("memory", "memory.kmem.limit_in_bytes"),
    kernelMemoryTcp: probe.has("memory", "memory.kmem.tcp.limit_in_bytes"),
  };
}

function probeBlkio(probe: V1Probe) {
  const throttle = (name: string): boolean => probe.has("blkio", `blkio.throttle.${name}`);
  return {
    blkioWeight: probe.has("blkio", "blkio.weight"),
    blkioWeightDevice: probe.has("blkio", "blkio.weight_device"),
    blkioReadBps: throttle("read_bps_device"),
    blkioWriteBps: throttle("write_bps_device"),
    blkioReadIops: throttle("read_iops_device"),
    blkioWriteIops: throttle("write_iops_device"),
  };
}

function detectV2(): CgroupFeatures {
  const controllers = readLine(join(unifiedRoot, "cgroup.controllers")).split(" ");
  const has = (name: string): boolean => controllers.includes(name);
  const own = readLine("/proc/self/cgroup").replace(/^0::/, "");
  const memory = has("memory");
  const cpu = has("cpu");
  const io = has("io");
  const cpuset = has("cpuset");
  return {
    version: 2,
    memoryLimit: memory,
    swapLimit: memory && existsSync(join(unifiedRoot, own, "memory.swap.max")),
    memoryReservation: memory,
    oomKillDisable: false,
    memorySwappiness: false,
    kernelMemory: false,
    kernelMemoryTcp: false,
    cpuShares: cpu,
    cpuCfs: cpu,
    cpuRealtime: false,
    blkioWeight: io,
    blkioWeightDevice: io,
    blkioReadBps: io,
    blkioWriteBps: io,
    blkioReadIops: io,
    blkioWriteIops: io,
    cpuset,
    cpus: readLine(join(unifiedRoot, "cpuset.cpus.effective")),
    mems: readLine(join(unifiedRoot, "cpuset.mems.effective")),
    pidsLimit: has("pids"),
    devices: true,
  };
}

/** The first line, or "" where there is no such file. */
function readLine(path: string): string {
  try {
    return readFileSync(path, "utf8").split("\n", 1)[0] ?? "";
  } catch {
    return "";
  }
}
