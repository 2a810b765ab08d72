import { totalmem } from "node:os";
import { formatTime, zeroTime } from "#base/clock";
import { EngineError } from "#base/errors";
import { type BlkioEntry, type CgroupPaths, type CgroupStats, findCgroupPaths, readStats, readText } from "#runtime";
import type { Container } from "./container.ts";
import type { ContainerContext } from "./context.ts";
import type { StatsOptions } from "./options.ts";

export interface CpuUsage {
  readonly cpu_usage: {
    readonly total_usage: number;
    readonly percpu_usage: number[] | null;
    readonly usage_in_kernelmode: number;
    readonly usage_in_usermode: number;
  };
  readonly system_cpu_usage: number;
  readonly online_cpus: number;
  readonly throttling_data: {
    readonly periods: number;
    readonly throttled_periods: number;
    readonly throttled_time: number;
  };
}

export interface NetworkUsage {
  readonly rx_bytes: number;
  readonly rx_packets: number;
  readonly rx_errors: number;
  readonly rx_dropped: number;
  readonly tx_bytes: number;
  readonly tx_packets: number;
  readonly tx_errors: number;
  readonly tx_dropped: number;
}

const blkioKeys = [
  "io_service_bytes_recursive",
  "io_serviced_recursive",
  "io_queue_recursive",
  "io_service_time_recursive",
  "io_wait_time_recursive",
  "io_merged_recursive",
  "io_time_recursive",
  "sectors_recursive",
] as const;

/** One sample of `GET /containers/{id}/stats`, with Go's zero values where there is nothing to say. */
export interface ContainerStats {
  readonly name: string;
  readonly id: string;
  readonly read: string;
  readonly preread: string;
  readonly pids_stats: { readonly current: number; readonly limit: number | bigint };
  readonly blkio_stats: Readonly<Record<(typeof blkioKeys)[number], BlkioEntry[] | null>>;
  readonly num_procs: number;
  readonly storage_stats: Readonly<Record<string, never>>;
  readonly cpu_stats: CpuUsage;
  readonly precpu_stats: CpuUsage;
  readonly memory_stats: {
    readonly usage: number;
    readonly max_usage: number;
    readonly stats: Record<string, number> | null;
    readonly failcnt: number;
    readonly limit: number;
  };
  readonly networks: Record<string, NetworkUsage> | null;
}

const intervalMs = 1000;

/**
 * A sample each second for as long as the client looks, or one: by itself (`one-shot`), or with the one a second before it, from
 * which clients compute a percentage. A container that stops meanwhile goes on as zeros, as dockerd has it.
 */
export function containerStats(
  context: ContainerContext,
  container: Container,
  options: StatsOptions,
  signal: AbortSignal,
): AsyncIterable<ContainerStats> {
  if (options.stream && options.oneShot) {
    throw new EngineError("invalidParameter", "cannot have stream=true and one-shot=true");
  }
  return samples(context, container, options, signal);
}

async function* samples(
  context: ContainerContext,
  container: Container,
  { stream, oneShot }: StatsOptions,
  signal: AbortSignal,
): AsyncGenerator<ContainerStats> {
  if (!stream && (!container.isRunning || container.status === "restarting")) {
    yield emptyStats(container);
    return;
  }
  let previous = sample(context, container, oneShot ? 0n : sharedNs);
  // moby names the container in all answers but this one.
  if (oneShot) yield { ...previous, name: "", id: "" };
  if (stream) yield previous;
  while (!oneShot && !signal.aborted) {
    try {
      await context.clock.sleep(intervalMs, signal);
    } catch {
      return; // The client has seen enough.
    }
    if (container.isRemoved) return;
    const current = sample(context, container, sharedNs);
    yield { ...current, preread: previous.read, precpu_stats: previous.cpu_stats };
    if (!stream) return;
    previous = current;
  }
}

export interface Sample {
  readonly takenAt: bigint;
  readonly pid: number;
  readonly cgroups: CgroupPaths;
  readonly stats: ContainerStats;
}

/** Several clients that look at one container get the same sample, unless it is older than that. */
const sharedNs = 500_000_000n;

function sample(context: ContainerContext, container: Container, maxAgeNs: bigint): ContainerStats {
  const { pid } = container.record.state;
  if (pid === 0 || !container.isRunning) return emptyStats(container);
  const takenAt = context.clock.now();
  const last = container.sample?.pid === pid ? container.sample : undefined;
  if (last !== undefined && takenAt - last.takenAt < maxAgeNs) return last.stats;
  const cgroups = last?.cgroups ?? findCgroupPaths(pid);
  if (cgroups === undefined) return emptyStats(container);
  const figures = readStats(cgroups);
  const stats = {
    ...emptyStats(container),
    read: formatTime(takenAt),
    pids_stats: figures.pids ?? { current: 0, limit: 0 },
    blkio_stats: blkioStats(figures),
    cpu_stats: { ...cpuStats(figures), ...parseSystemCpu(readText("/proc/stat") ?? "") },
    memory_stats: memoryStats(figures),
    networks: readNetworks(container, pid),
  };
  container.sample = { takenAt, pid, cgroups, stats };
  return stats;
}

function cpuStats({ cpu }: CgroupStats): CpuUsage {
  return {
    ...noCpu,
    cpu_usage: {
      total_usage: cpu.totalNs,
      percpu_usage: cpu.perCpuNs === undefined ? null : [...cpu.perCpuNs],
      usage_in_kernelmode: cpu.kernelNs,
      usage_in_usermode: cpu.userNs,
    },
    throttling_data: {
      periods: cpu.throttling.periods,
      throttled_periods: cpu.throttling.throttledPeriods,
      throttled_time: cpu.throttling.throttledNs,
    },
  };
}

function memoryStats({ memory }: CgroupStats): ContainerStats["memory_stats"] {
  if (memory === undefined) return noMemory;
  return {
    usage: memory.usage,
    max_usage: memory.maxUsage,
    stats: { ...memory.stats },
    failcnt: memory.failCount,
    limit: Math.min(memory.limit, totalmem()),
  };
}

/** Version 1 has all eight lists, empty or not; version 2 knows the first only, and leaves it out when nothing was read or written. */
function blkioStats({ version, blkio }: CgroupStats): ContainerStats["blkio_stats"] {
  if (blkio === undefined) return noBlkio;
  const list = (key: string) => {
    const entries = blkio[key] ?? [];
    return version === 2 && entries.length === 0 ? null : [...entries];
  };
  return { ...noBlkio, ...Object.fromEntries(blkioKeys.map((key) => [key, list(key)])) };
}

const ticksToNs = 10_000_000;

/** The first line of /proc/stat counts all processors together: user to softirq, in ticks of 10 ms. */
export function parseSystemCpu(stat: string): Pick<CpuUsage, "system_cpu_usage" | "online_cpus"> {
  const lines = stat.split("\n").filter((line) => line.startsWith("cpu"));
  const ticks = (lines[0] ?? "").trim().split(/\s+/).slice(1, 8).map(Number);
  const total = ticks.reduce((sum, value) => sum + value, 0);
  return { system_cpu_usage: total * ticksToNs, online_cpus: lines.length - 1 };
}

function readNetworks({ record }: Container, pid: number): Record<string, NetworkUsage> | null {
  if (record.config.NetworkDisabled || record.hostConfig.NetworkMode === "host") return null;
  return parseNetworks(readText(`/proc/${pid}/net/dev`) ?? "");
}

/** Not the container's interfaces, but what some kernel modules put into every namespace. */
const strangers = /^(lo|(tunl|sit|ip6tnl|gre|gretap|erspan|ip_vti|ip6_vti|ip6gre|teql)0)$/;

export function parseNetworks(netDev: string): Record<string, NetworkUsage> | null {
  const networks = netDev.split("\n").flatMap((line): [string, NetworkUsage][] => {
    const [name, figures] = line.split(":", 2);
    if (name === undefined || figures === undefined || strangers.test(name.trim())) return [];
    const values = figures.trim().split(/\s+/).map(Number);
    const at = (index: number) => values[index] ?? 0;
    return [
      [
        name.trim(),
        {
          rx_bytes: at(0),
          rx_packets: at(1),
          rx_errors: at(2),
          rx_dropped: at(3),
          tx_bytes: at(8),
          tx_packets: at(9),
          tx_errors: at(10),
          tx_dropped: at(11),
        },
      ],
    ];
  });
  return networks.length === 0 ? null : Object.fromEntries(networks);
}

const noBlkio: ContainerStats["blkio_stats"] = {
  io_service_bytes_recursive: null,
  io_serviced_recursive: null,
  io_queue_recursive: null,
  io_service_time_recursive: null,
  io_wait_time_recursive: null,
  io_merged_recursive: null,
  io_time_recursive: null,
  sectors_recursive: null,
};
const noMemory: ContainerStats["memory_stats"] = { usage: 0, max_usage: 0, stats: null, failcnt: 0, limit: 0 };
const noCpu: CpuUsage = {
  cpu_usage: { total_usage: 0, percpu_usage: null, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  system_cpu_usage: 0,
  online_cpus: 0,
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

const emptyStats = (container: Container): ContainerStats => ({
  name: `/${container.name}`,
  id: container.id,
  read: zeroTime,
  preread: zeroTime,
  pids_stats: { current: 0, limit: 0 },
  blkio_stats: noBlkio,
  num_procs: 0,
  storage_stats: {},
  cpu_stats: noCpu,
  precpu_stats: noCpu,
  memory_stats: noMemory,
  networks: null,
});
