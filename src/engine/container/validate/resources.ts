/** Limits that this machine cannot hold are refused or dropped with a warning (moby verifyPlatformContainerResources). */
import type { Resources } from "#api-schema/container-config";
import { EngineError } from "#base/errors";
import type { CgroupFeatures } from "../../spec/cgroup-features.ts";
import type { HostInfo } from "../../spec/host-info.ts";
import { checkCpuset } from "./cpuset.ts";

/** What is left for the runtime below this start-up would not survive. */
const minMemory = 6 * 1024 * 1024;

export interface CheckedResources {
  /** Only what had to change. */
  readonly changes: Partial<Resources>;
  readonly warnings: readonly string[];
}

type Host = Pick<HostInfo, "cgroup" | "cpuCount">;

/** One limit after another, in moby's order: the first that is wrong decides the text. */
class ResourceCheck {
  readonly warnings: string[] = [];
  readonly changes: Partial<Resources> = {};
  readonly #given: Resources;

  constructor(given: Resources) {
    this.#given = given;
  }

  get now(): Resources {
    return { ...this.#given, ...this.changes };
  }

  refuseIf(isWrong: boolean, message: string): void {
    if (isWrong) throw new EngineError("invalidParameter", message);
  }

  dropIf(isMissing: boolean, warning: string, changes: Partial<Resources>): void {
    if (!isMissing) return;
    this.warnings.push(warning);
    Object.assign(this.changes, changes);
  }
}

/** `isUpdate`: a swap limit may come alone, beside the memory limit that is there. */
export function checkResources(given: Resources, host: Host, isUpdate: boolean): CheckedResources {
  const check = new ResourceCheck(given);
  // The CLI sends -1 for "as the system has it".
  if (given.MemorySwappiness === -1) check.changes.MemorySwappiness = null;
  checkMemory(check, host.cgroup, isUpdate);
  checkMemoryOptions(check, host.cgroup);
  checkCpu(check, host);
  checkCpusets(check, host.cgroup);
  checkBlkio(check, host.cgroup);
  return { changes: check.changes, warnings: check.warnings };
}

const unsupported = (what: string, consequence: string): string =>
  `Your kernel does not support ${what} or the cgroup is not mounted. ${consequence}`;

function checkMemory(check: ResourceCheck, cgroup: CgroupFeatures, isUpdate: boolean): void {
  const { Memory } = check.now;
  check.refuseIf(Memory !== 0 && Memory < minMemory, "Minimum memory limit allowed is 6MB");
  check.dropIf(Memory > 0 && !cgroup.memoryLimit, unsupported("memory limit capabilities", "Limitation discarded."), {
    Memory: 0,
    MemorySwap: -1,
  });
  check.dropIf(
    check.now.Memory > 0 && check.now.MemorySwap !== -1 && !cgroup.swapLimit,
    unsupported("swap limit capabilities", "Memory limited without swap."),
    { MemorySwap: -1 },
  );
  const { Memory: memory, MemorySwap: swap } = check.now;
  check.refuseIf(
    memory > 0 && swap > 0 && swap < memory,
    "Minimum memoryswap limit should be larger than memory limit, see usage",
  );
  check.refuseIf(
    memory === 0 && swap > 0 && !isUpdate,
    "You should always set the Memory limit when using Memoryswap limit, see usage",
  );
}

function checkMemoryOptions(check: ResourceCheck, cgroup: CgroupFeatures): void {
  check.dropIf(
    check.now.MemorySwappiness !== null && !cgroup.memorySwappiness,
    unsupported("memory swappiness capabilities", "Memory swappiness discarded."),
    { MemorySwappiness: null },
  );
  const swappiness = check.now.MemorySwappiness ?? 0;
  check.refuseIf(
    swappiness < 0 || swappiness > 100,
    `Invalid value: ${swappiness}, valid memory swappiness range is 0-100`,
  );
  check.dropIf(
    check.now.MemoryReservation > 0 && !cgroup.memoryReservation,
    unsupported("memory soft limit capabilities", "Limitation discarded."),
    { MemoryReservation: 0 },
  );
  const { Memory: memory, MemoryReservation: reservation } = check.now;
  check.refuseIf(reservation > 0 && reservation < minMemory, "Minimum memory reservation allowed is 6MB");
  check.refuseIf(
    memory > 0 && reservation > 0 && memory < reservation,
    "Minimum memory limit can not be less than memory reservation limit, see usage",
  );
  check.dropIf(
    check.now.KernelMemory > 0 && !cgroup.kernelMemory,
    unsupported("kernel memory limit capabilities", "Limitation discarded."),
    { KernelMemory: 0 },
  );
  const kernel = check.now.KernelMemory;
  check.refuseIf(kernel > 0 && kernel < minMemory, "Minimum kernel memory limit allowed is 6MB");
  checkOomAndPids(check, cgroup);
}

function checkOomAndPids(check: ResourceCheck, cgroup: CgroupFeatures): void {
  // Whoever asked for what the system does anyway need not hear that it is no choice.
  check.dropIf(
    check.now.OomKillDisable === true && !cgroup.oomKillDisable,
    "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
    { OomKillDisable: null },
  );
  if (!cgroup.oomKillDisable) check.changes.OomKillDisable = null;
  check.dropIf(
    check.now.OomKillDisable === true && check.now.Memory === 0,
    "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
    {},
  );
  check.dropIf(
    (check.now.PidsLimit ?? 0) > 0 && !cgroup.pidsLimit,
    unsupported("PIDs limit capabilities", "PIDs limit discarded."),
    { PidsLimit: null },
  );
  if (!cgroup.pidsLimit) check.changes.PidsLimit = null;
}

function checkCpu(check: ResourceCheck, host: Host): void {
  const { NanoCpus, CpuPeriod, CpuQuota } = check.now;
  const conflict = (what: string): string => `Conflicting options: Nano CPUs and CPU ${what} cannot both be set`;
  check.refuseIf(NanoCpus > 0 && CpuPeriod > 0, conflict("Period"));
  check.refuseIf(NanoCpus > 0 && CpuQuota > 0, conflict("Quota"));
  check.refuseIf(
    NanoCpus > 0 && !host.cgroup.cpuCfs,
    "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
  );
  const count = host.cpuCount;
  check.refuseIf(
    NanoCpus < 0 || NanoCpus > count * 1e9,
    `range of CPUs is from 0.01 to ${count}.00, as there are only ${count} CPUs available`,
  );
  check.dropIf(check.now.CpuShares > 0 && !host.cgroup.cpuShares, unsupported("CPU shares", "Shares discarded."), {
    CpuShares: 0,
  });
  check.dropIf(
    (CpuPeriod !== 0 || CpuQuota !== 0) && !host.cgroup.cpuCfs,
    "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
    { CpuPeriod: 0, CpuQuota: 0 },
  );
  const { CpuPeriod: period, CpuQuota: quota } = check.now;
  check.refuseIf(
    period !== 0 && (period < 1000 || period > 1_000_000),
    "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
  );
  check.refuseIf(quota > 0 && quota < 1000, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
  check.dropIf(check.now.CpuPercent > 0, "linux does not support CPU percent. Percent discarded.", { CpuPercent: 0 });
}

function checkCpusets(check: ResourceCheck, cgroup: CgroupFeatures): void {
  const { CpusetCpus, CpusetMems } = check.now;
  check.dropIf((CpusetCpus !== "" || CpusetMems !== "") && !cgroup.cpuset, unsupported("cpuset", "Cpuset discarded."), {
    CpusetCpus: "",
    CpusetMems: "",
  });
  checkCpuset(check.now.CpusetCpus, cgroup.cpus, { short: "cpus", long: "CPUs" });
  checkCpuset(check.now.CpusetMems, cgroup.mems, { short: "mems", long: "memory nodes" });
}

function checkBlkio(check: ResourceCheck, cgroup: CgroupFeatures): void {
  const { now } = check;
  check.dropIf(now.BlkioWeight > 0 && !cgroup.blkioWeight, unsupported("Block I/O weight", "Weight discarded."), {
    BlkioWeight: 0,
  });
  const weight = check.now.BlkioWeight;
  check.refuseIf(weight > 0 && (weight < 10 || weight > 1000), "Range of blkio weight is from 10 to 1000");
  check.refuseIf(
    now.IOMaximumBandwidth !== 0 || now.IOMaximumIOps !== 0,
    "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps",
  );
  const isGiven = (list: readonly unknown[] | null): boolean => list !== null && list.length > 0;
  check.dropIf(
    isGiven(now.BlkioWeightDevice) && !cgroup.blkioWeightDevice,
    unsupported("Block I/O weight_device", "Weight-device discarded."),
    { BlkioWeightDevice: [] },
  );
  const limit = (unit: string, direction: string): string =>
    unsupported(
      `${unit === "BPS" ? "BPS Block I/O" : "IOPS Block"} ${direction} limit`,
      `Block I/O ${unit} ${direction} limit discarded.`,
    );
  check.dropIf(isGiven(now.BlkioDeviceReadBps) && !cgroup.blkioReadBps, limit("BPS", "read"), {
    BlkioDeviceReadBps: [],
  });
  check.dropIf(isGiven(now.BlkioDeviceWriteBps) && !cgroup.blkioWriteBps, limit("BPS", "write"), {
    BlkioDeviceWriteBps: [],
  });
  check.dropIf(isGiven(now.BlkioDeviceReadIOps) && !cgroup.blkioReadIops, limit("IOPS", "read"), {
    BlkioDeviceReadIOps: [],
  });
  check.dropIf(isGiven(now.BlkioDeviceWriteIOps) && !cgroup.blkioWriteIops, limit("IOPS", "write"), {
    BlkioDeviceWriteIOps: [],
  });
}
