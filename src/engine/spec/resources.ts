/** Limits: HostConfig → the OCI spec's resources, for a start and for `docker update` (moby daemon_unix.go). */
import type { Resources as DockerResources } from "#api-schema/container-config";
import type {
  BlockIoResources,
  CpuResources,
  MemoryResources,
  Resources,
  ThrottleDevice,
  WeightDevice,
} from "#runtime";
import type { DeviceNumber } from "./devices.ts";

const cpuPeriodUs = 100_000;
const nanosPerCpu = 1_000_000_000;

type BlockDevices = ReadonlyMap<string, DeviceNumber>;

/** Everything but devices. `blockDevices` has the numbers of the paths that `blkioPaths` names. */
export function resourcesOf(limits: DockerResources, blockDevices: BlockDevices): Resources {
  const memory = memoryOf(limits);
  const cpu = cpuOf(limits);
  return {
    ...(memory === undefined ? {} : { memory }),
    ...(cpu === undefined ? {} : { cpu }),
    ...pidsOf(limits),
    blockIO: blockIoOf(limits, blockDevices),
  };
}

/** What `docker update` sends to a running container: the OOM killer, swappiness and devices stay as they are (moby). */
export function linuxResources(limits: DockerResources): Resources {
  const memory: MemoryResources = {
    ...(limits.Memory === 0 ? {} : { limit: limits.Memory }),
    ...(limits.MemoryReservation === 0 ? {} : { reservation: limits.MemoryReservation }),
    ...(limits.MemorySwap > 0 ? { swap: limits.MemorySwap } : {}),
  };
  const cpu = cpuOf(limits);
  return {
    ...(limits.BlkioWeight === 0 ? {} : { blockIO: { weight: limits.BlkioWeight } }),
    ...(cpu === undefined ? {} : { cpu }),
    ...(Object.keys(memory).length === 0 ? {} : { memory }),
    ...pidsOf(limits),
  };
}

/** The devices on the host that blkio limits are about. */
export function blkioPaths(limits: DockerResources): string[] {
  const devices: readonly ({ readonly Path: string } | null)[] = [
    ...(limits.BlkioWeightDevice ?? []),
    ...(limits.BlkioDeviceReadBps ?? []),
    ...(limits.BlkioDeviceWriteBps ?? []),
    ...(limits.BlkioDeviceReadIOps ?? []),
    ...(limits.BlkioDeviceWriteIOps ?? []),
  ];
  return [...new Set(devices.flatMap((device) => device?.Path ?? []))];
}

/** runc wants -1 to lift a limit, Docker's API takes 0 and anything below. */
const pidsOf = ({ PidsLimit: pids }: DockerResources): Pick<Resources, "pids"> =>
  pids === null ? {} : { pids: { limit: pids > 0 ? pids : -1 } };

function memoryOf(limits: DockerResources): MemoryResources | undefined {
  const memory: MemoryResources = {
    ...(limits.Memory > 0 ? { limit: limits.Memory } : {}),
    ...(limits.MemoryReservation > 0 ? { reservation: limits.MemoryReservation } : {}),
    ...(limits.MemorySwap > 0 ? { swap: limits.MemorySwap } : {}),
    ...(limits.MemorySwappiness === null ? {} : { swappiness: limits.MemorySwappiness }),
    ...(limits.OomKillDisable === null ? {} : { disableOOMKiller: limits.OomKillDisable }),
    ...(limits.KernelMemory === 0 ? {} : { kernel: limits.KernelMemory }),
    ...(limits.KernelMemoryTCP === 0 ? {} : { kernelTCP: limits.KernelMemoryTCP }),
  };
  return Object.keys(memory).length === 0 ? undefined : memory;
}

function cpuOf(limits: DockerResources): CpuResources | undefined {
  if (limits.CpuShares < 0) {
    throw new Error(`invalid CPU shares (${limits.CpuShares}): value must be a positive integer`);
  }
  const quota = Math.trunc((Number(limits.NanoCpus) * cpuPeriodUs) / nanosPerCpu);
  const cpu: CpuResources = {
    ...(limits.CpuShares === 0 ? {} : { shares: limits.CpuShares }),
    ...(limits.CpusetCpus === "" ? {} : { cpus: limits.CpusetCpus }),
    ...(limits.CpusetMems === "" ? {} : { mems: limits.CpusetMems }),
    ...(limits.NanoCpus > 0 ? { period: cpuPeriodUs, quota } : {}),
    ...(limits.CpuPeriod === 0 ? {} : { period: limits.CpuPeriod }),
    ...(limits.CpuQuota === 0 ? {} : { quota: limits.CpuQuota }),
    ...(limits.CpuRealtimePeriod === 0 ? {} : { realtimePeriod: limits.CpuRealtimePeriod }),
    ...(limits.CpuRealtimeRuntime === 0 ? {} : { realtimeRuntime: limits.CpuRealtimeRuntime }),
  };
  return Object.keys(cpu).length === 0 ? undefined : cpu;
}

function blockIoOf(limits: DockerResources, devices: BlockDevices): BlockIoResources {
  const weightDevice = (limits.BlkioWeightDevice ?? []).flatMap((entry): WeightDevice[] =>
    entry === null ? [] : [{ ...numberOf(entry.Path, devices), weight: entry.Weight }],
  );
  const throttle = (list: DockerResources["BlkioDeviceReadBps"]): ThrottleDevice[] =>
    (list ?? []).flatMap((entry) => (entry === null ? [] : [{ ...numberOf(entry.Path, devices), rate: entry.Rate }]));
  const lists = {
    weightDevice,
    throttleReadBpsDevice: throttle(limits.BlkioDeviceReadBps),
    throttleWriteBpsDevice: throttle(limits.BlkioDeviceWriteBps),
    throttleReadIOPSDevice: throttle(limits.BlkioDeviceReadIOps),
    throttleWriteIOPSDevice: throttle(limits.BlkioDeviceWriteIOps),
  };
  return {
    ...(limits.BlkioWeight === 0 ? {} : { weight: limits.BlkioWeight }),
    ...Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)),
  };
}

function numberOf(path: string, devices: BlockDevices): DeviceNumber {
  const number = devices.get(path);
  if (number === undefined) throw new Error(`stat ${path}: no such file or directory`);
  return number;
}
