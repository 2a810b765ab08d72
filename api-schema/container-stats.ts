/** moby api/types/container.StatsResponse (28.5, API 1.51), in Go's field order. */
import * as go from "#api-schema/go";

const CpuStats = go.struct("container.CPUStats", {
  cpu_usage: go.struct("container.CPUUsage", {
    total_usage: go.uint64(),
    percpu_usage: go.slice(go.uint64(), { omitempty: true }),
    usage_in_kernelmode: go.uint64(),
    usage_in_usermode: go.uint64(),
  }),
  system_cpu_usage: go.uint64({ omitempty: true }),
  online_cpus: go.uint32({ omitempty: true }),
  throttling_data: go.struct("container.ThrottlingData", {
    periods: go.uint64(),
    throttled_periods: go.uint64(),
    throttled_time: go.uint64(),
  }),
});

const BlkioStatEntries = go.slice(
  go.struct("container.BlkioStatEntry", {
    major: go.uint64(),
    minor: go.uint64(),
    op: go.string(),
    value: go.uint64(),
  }),
);

const NetworkStats = go.struct("container.NetworkStats", {
  rx_bytes: go.uint64(),
  rx_packets: go.uint64(),
  rx_errors: go.uint64(),
  rx_dropped: go.uint64(),
  tx_bytes: go.uint64(),
  tx_packets: go.uint64(),
  tx_errors: go.uint64(),
  tx_dropped: go.uint64(),
});

export type Stats = go.Static<typeof Stats>;
export const Stats = go.struct("container.StatsResponse", {
  name: go.string({ omitempty: true }),
  id: go.string({ omitempty: true }),
  read: go.time(),
  preread: go.time(),
  pids_stats: go.struct("container.PidsStats", {
    current: go.uint64({ omitempty: true }),
    limit: go.uint64({ omitempty: true }),
  }),
  blkio_stats: go.struct("container.BlkioStats", {
    io_service_bytes_recursive: BlkioStatEntries,
    io_serviced_recursive: BlkioStatEntries,
    io_queue_recursive: BlkioStatEntries,
    io_service_time_recursive: BlkioStatEntries,
    io_wait_time_recursive: BlkioStatEntries,
    io_merged_recursive: BlkioStatEntries,
    io_time_recursive: BlkioStatEntries,
    sectors_recursive: BlkioStatEntries,
  }),
  num_procs: go.uint32(),
  /** Filled on Windows only. */
  storage_stats: go.struct("container.StorageStats", {}),
  cpu_stats: CpuStats,
  precpu_stats: CpuStats,
  memory_stats: go.struct("container.MemoryStats", {
    usage: go.uint64({ omitempty: true }),
    max_usage: go.uint64({ omitempty: true }),
    stats: go.map(go.uint64(), { omitempty: true }),
    failcnt: go.uint64({ omitempty: true }),
    limit: go.uint64({ omitempty: true }),
  }),
  networks: go.map(NetworkStats, { omitempty: true }),
});
