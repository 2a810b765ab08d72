import { join } from "node:path";
import { type CgroupPaths, readText } from "./cgroup.ts";

/** What one reading of a container's cgroups gives; the engine shapes Docker's `/stats` from it. Bytes and nanoseconds. */
export interface CgroupStats {
  /** The version whose files were read for memory and cpu. `/stats` differs: v2 has no percpu, no failcnt, other names. */
  readonly version: 1 | 2;
  readonly cpu: CpuStats;
  /** undefined where no memory controller is mounted. */
  readonly memory: MemoryStats | undefined;
  /** Without a limit 0 on v1 and 2^64 − 1 on v2, as containerd counts. */
  readonly pids: { readonly current: number; readonly limit: number | bigint } | undefined;
  /** Key as in Docker's blkio_stats (`io_service_bytes_recursive`). */
  readonly blkio: Readonly<Record<string, readonly BlkioEntry[]>> | undefined;
}

export interface CpuStats {
  readonly totalNs: number;
  readonly userNs: number;
  readonly kernelNs: number;
  /** undefined on v2. */
  readonly perCpuNs: readonly number[] | undefined;
  readonly throttling: { readonly periods: number; readonly throttledPeriods: number; readonly throttledNs: number };
}

export interface MemoryStats {
  readonly usage: number;
  /** v1 only. */
  readonly maxUsage: number;
  readonly failCount: number;
  /** As the kernel says it: a huge number when there is none; show the machine's memory then. */
  readonly limit: number;
  /** memory.stat, with Docker's names. */
  readonly stats: Readonly<Record<string, number>>;
}

export interface BlkioEntry {
  readonly major: number;
  readonly minor: number;
  readonly op: string;
  readonly value: number;
}

/** Reads the figures of a container; files that are missing count as 0. */
export function readStats(paths: CgroupPaths): CgroupStats {
  const version = paths.v1.memory === undefined && paths.v1.cpuacct === undefined ? 2 : 1;
  return {
    version,
    cpu: version === 1 ? readCpuV1(paths) : readCpuV2(paths.v2),
    memory: version === 1 ? readMemoryV1(paths.v1.memory) : readMemoryV2(paths.v2),
    pids: paths.v1.pids === undefined ? readPids(paths.v2, 2n ** 64n - 1n) : readPids(paths.v1.pids, 0),
    blkio: version === 1 ? readBlkioV1(paths.v1.blkio) : readBlkioV2(paths.v2),
  };
}

const unlimited = 2 ** 64 - 1;

function readNumber(folder: string | undefined, file: string): number {
  if (folder === undefined) return 0;
  const text = readText(join(folder, file))?.trim() ?? "0";
  return text === "max" ? unlimited : Number(text);
}

/** "name value" on each line. */
function readTable(folder: string | undefined, file: string): Record<string, number> {
  if (folder === undefined) return {};
  const lines = (readText(join(folder, file)) ?? "").split("\n").filter((line) => line !== "");
  return Object.fromEntries(lines.map((line) => [line.split(" ")[0] ?? "", Number(line.split(" ")[1])]));
}

// cpuacct.stat counts in USER_HZ, which is 100 on every architecture that Node runs on.
const nsPerTick = 10_000_000;

function readCpuV1(paths: CgroupPaths): CpuStats {
  const cpuacct = paths.v1.cpuacct;
  const stat = readTable(cpuacct, "cpuacct.stat");
  const perCpu = cpuacct === undefined ? undefined : readText(join(cpuacct, "cpuacct.usage_percpu"));
  const throttling = readTable(paths.v1.cpu, "cpu.stat");
  return {
    totalNs: readNumber(cpuacct, "cpuacct.usage"),
    userNs: (stat.user ?? 0) * nsPerTick,
    kernelNs: (stat.system ?? 0) * nsPerTick,
    perCpuNs: (perCpu ?? "")
      .trim()
      .split(" ")
      .filter((text) => text !== "")
      .map(Number),
    throttling: {
      periods: throttling.nr_periods ?? 0,
      throttledPeriods: throttling.nr_throttled ?? 0,
      throttledNs: throttling.throttled_time ?? 0,
    },
  };
}

function readCpuV2(folder: string | undefined): CpuStats {
  const stat = readTable(folder, "cpu.stat");
  const ns = (name: string): number => (stat[name] ?? 0) * 1000;
  return {
    totalNs: ns("usage_usec"),
    userNs: ns("user_usec"),
    kernelNs: ns("system_usec"),
    perCpuNs: undefined,
    throttling: {
      periods: stat.nr_periods ?? 0,
      throttledPeriods: stat.nr_throttled ?? 0,
      throttledNs: ns("throttled_usec"),
    },
  };
}

function readMemoryV1(folder: string | undefined): MemoryStats | undefined {
  if (folder === undefined) return undefined;
  return {
    usage: readNumber(folder, "memory.usage_in_bytes"),
    maxUsage: readNumber(folder, "memory.max_usage_in_bytes"),
    failCount: readNumber(folder, "memory.failcnt"),
    limit: readNumber(folder, "memory.limit_in_bytes"),
    stats: pick(readTable(folder, "memory.stat"), statNamesV1),
  };
}

function readMemoryV2(folder: string | undefined): MemoryStats | undefined {
  if (folder === undefined) return undefined;
  return {
    usage: readNumber(folder, "memory.current"),
    maxUsage: 0,
    // moby shows the count of OOMs where v1 counts failed allocations.
    failCount: readTable(folder, "memory.events").oom ?? 0,
    limit: readNumber(folder, "memory.max"),
    stats: pick(readTable(folder, "memory.stat"), statNamesV2),
  };
}

const pick = (table: Readonly<Record<string, number>>, names: readonly string[]): Record<string, number> =>
  Object.fromEntries(names.map((name) => [name, table[name] ?? 0]));

function readPids(folder: string | undefined, none: number | bigint): CgroupStats["pids"] {
  if (folder === undefined) return undefined;
  const limit = readNumber(folder, "pids.max");
  return { current: readNumber(folder, "pids.current"), limit: limit === unlimited ? none : limit };
}

/** "8:0 Read 4096" on each line; the last is "Total n". */
function parseBlkio(text: string): BlkioEntry[] {
  return text.split("\n").flatMap((line): BlkioEntry[] => {
    const match = /^(\d+):(\d+) (?:(\w+) )?(\d+)$/.exec(line);
    if (match === null) return [];
    const [, major, minor, op = "", value] = match;
    return [{ major: Number(major), minor: Number(minor), op: op.toLowerCase(), value: Number(value) }];
  });
}

function readBlkioV1(folder: string | undefined): CgroupStats["blkio"] {
  if (folder === undefined) return undefined;
  const bytes = readFirst(folder, [
    "blkio.bfq.io_service_bytes_recursive",
    "blkio.throttle.io_service_bytes_recursive",
    "blkio.throttle.io_service_bytes",
  ]);
  const operations = readFirst(folder, [
    "blkio.bfq.io_serviced_recursive",
    "blkio.throttle.io_serviced_recursive",
    "blkio.throttle.io_serviced",
  ]);
  return { io_service_bytes_recursive: parseBlkio(bytes), io_serviced_recursive: parseBlkio(operations) };
}

function readFirst(folder: string, files: readonly string[]): string {
  for (const file of files) {
    const text = readText(join(folder, file));
    if (text !== undefined && text !== "") return text;
  }
  return "";
}

/** "8:0 rbytes=1 wbytes=2 rios=…" on each line. */
function readBlkioV2(folder: string | undefined): CgroupStats["blkio"] {
  if (folder === undefined) return undefined;
  const text = readText(join(folder, "io.stat")) ?? "";
  const entries = text.split("\n").flatMap((line): BlkioEntry[] => {
    const match = /^(\d+):(\d+) .*?rbytes=(\d+) wbytes=(\d+)/.exec(line);
    if (match === null) return [];
    const device = { major: Number(match[1]), minor: Number(match[2]) };
    return [
      { ...device, op: "read", value: Number(match[3]) },
      { ...device, op: "write", value: Number(match[4]) },
    ];
  });
  return { io_service_bytes_recursive: entries };
}

// The names that moby's stats_unix.go shows; a kernel that has none of one name gives 0.
const perGroup =
  "cache rss rss_huge mapped_file dirty writeback pgpgin pgpgout pgfault pgmajfault inactive_anon active_anon inactive_file active_file unevictable".split(
    " ",
  );
const statNamesV1 = [
  ...perGroup,
  "hierarchical_memory_limit",
  "hierarchical_memsw_limit",
  ...perGroup.map((name) => `total_${name}`),
];
const statNamesV2 =
  "anon file kernel_stack slab sock shmem file_mapped file_dirty file_writeback anon_thp inactive_anon active_anon inactive_file active_file unevictable slab_reclaimable slab_unreclaimable pgfault pgmajfault workingset_refault workingset_activate workingset_nodereclaim pgrefill pgscan pgsteal pgactivate pgdeactivate pglazyfree pglazyfreed thp_fault_alloc thp_collapse_alloc".split(
    " ",
  );
