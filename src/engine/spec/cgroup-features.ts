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
  /** What `docker info` shows for what is missing. */
  readonly warnings: readonly string[];
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

/** Looks for the files that hold limits, and notes what is missing in moby's words. */
class V1Probe {
  readonly warnings: string[] = [];
  readonly #mounts = findV1Mounts(readFileSync("/proc/self/mountinfo", "utf8"));

  has(controller: string): boolean {
    return this.#mounts.has(controller);
  }

  controller(name: string, warning: string): string | undefined {
    const path = this.#mounts.get(name);
    if (path === undefined) this.warnings.push(warning);
    return path;
  }

  /** `feature` is missed aloud only where the controller itself is there. */
  file(controller: string | undefined, name: string, feature?: string): boolean {
    if (controller === undefined) return false;
    const isThere = existsSync(join(controller, name));
    if (!isThere && feature !== undefined) this.warnings.push(`Your kernel does not support ${feature}`);
    return isThere;
  }
}

function detectV1(): CgroupFeatures {
  const probe = new V1Probe();
  const limits = { ...probeMemory(probe), ...probeCpu(probe), ...probeBlkio(probe) };
  const cpuset = probe.controller("cpuset", "Unable to find cpuset cgroup in mounts");
  const pids = probe.controller("pids", "Unable to find pids cgroup in mounts");
  return {
    version: 1,
    ...limits,
    cpuset: cpuset !== undefined,
    cpus: cpuset === undefined ? "" : readLine(join(cpuset, "cpuset.cpus")),
    mems: cpuset === undefined ? "" : readLine(join(cpuset, "cpuset.mems")),
    pidsLimit: pids !== undefined,
    devices: probe.has("devices"),
    warnings: probe.warnings,
  };
}

function probeMemory(probe: V1Probe) {
  const memory = probe.controller("memory", "Your kernel does not support cgroup memory limit");
  return {
    memoryLimit: memory !== undefined,
    swapLimit: probe.file(memory, "memory.memsw.limit_in_bytes", "swap memory limit"),
    memoryReservation: probe.file(memory, "memory.soft_limit_in_bytes", "memory reservation"),
    oomKillDisable: probe.file(memory, "memory.oom_control", "oom control"),
    memorySwappiness: probe.file(memory, "memory.swappiness", "memory swappiness"),
    kernelMemory: probe.file(memory, "memory.kmem.limit_in_bytes"),
  };
}

function probeCpu(probe: V1Probe) {
  const cpu = probe.controller("cpu", "Unable to find cpu cgroup in mounts");
  return {
    cpuShares: probe.file(cpu, "cpu.shares", "CPU shares"),
    cpuCfs: probe.file(cpu, "cpu.cfs_quota_us", "CPU CFS scheduler"),
    cpuRealtime: probe.file(cpu, "cpu.rt_period_us", "CPU realtime scheduler"),
  };
}

function probeBlkio(probe: V1Probe) {
  const blkio = probe.controller("blkio", "Unable to find blkio cgroup in mounts");
  const throttle = (name: string): boolean =>
    probe.file(blkio, `blkio.throttle.${name}`, `cgroup blkio throttle.${name}`);
  return {
    blkioWeight: probe.file(blkio, "blkio.weight", "cgroup blkio weight"),
    blkioWeightDevice: probe.file(blkio, "blkio.weight_device", "cgroup blkio weight_device"),
    blkioReadBps: throttle("read_bps_device"),
    blkioWriteBps: throttle("write_bps_device"),
    blkioReadIops: throttle("read_iops_device"),
    blkioWriteIops: throttle("write_iops_device"),
  };
}

function detectV2(): CgroupFeatures {
  const controllers = readLine(join(unifiedRoot, "cgroup.controllers")).split(" ");
  const warnings: string[] = [];
  const has = (name: string): boolean => {
    const isThere = controllers.includes(name);
    if (!isThere) warnings.push(`Unable to find ${name} controller`);
    return isThere;
  };
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
    warnings,
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
