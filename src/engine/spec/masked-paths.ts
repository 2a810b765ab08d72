import type { HostInfo } from "./host-info.ts";

/** What tells about the host or other containers, and could be used to harm them (moby oci/defaults.go, with its advisories). */
const masked: readonly string[] = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];

export const defaultMaskedPaths = (host: Pick<HostInfo, "thermalThrottlePaths">): string[] => [
  ...masked,
  ...host.thermalThrottlePaths,
];

export const defaultReadonlyPaths = (): string[] => [
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];
