/** What this machine can do, read once when the daemon starts. Everything in `spec/` and `validate*` takes it as a value. */
import { existsSync, readFileSync } from "node:fs";
import { hostname, machine, release } from "node:os";
import { canConfine, hasAppArmor } from "./apparmor.ts";
import { availableCapabilities, knownCapabilities } from "./capabilities.ts";
import { type CgroupFeatures, detectCgroupFeatures } from "./cgroup-features.ts";

export interface KernelVersion {
  readonly major: number;
  readonly minor: number;
}

export interface HostInfo {
  readonly hostname: string;
  readonly kernel: KernelVersion;
  /** Go's name ("amd64"), as seccomp profiles and images have it. */
  readonly architecture: string;
  /** Those that the daemon may use: what Go's runtime.NumCPU counts. */
  readonly cpuCount: number;
  /** All that this kernel has, by number. */
  readonly knownCapabilities: readonly string[];
  /** Those that the daemon holds itself and so can give. */
  readonly capabilities: readonly string[];
  readonly cgroup: CgroupFeatures;
  readonly hasSeccomp: boolean;
  readonly hasAppArmor: boolean;
  /** Containers get an AppArmor profile. */
  readonly canConfine: boolean;
  readonly hasCgroupNamespaces: boolean;
  readonly isIpv4ForwardingDisabled: boolean;
  /** The kernel and the runtime can make a whole tree of mounts read-only (mount_setattr, Linux 5.12). */
  readonly hasRecursiveReadOnly: boolean;
  /** Sysctls that exist, of those that the engine sets by itself. */
  readonly defaultSysctls: Readonly<Record<string, string>>;
  /** Per-CPU paths that tell about other tenants; masked like those of every machine. */
  readonly thermalThrottlePaths: readonly string[];
}

/** Unprivileged ping and low ports: the capabilities that containers have would allow both anyway. */
const wantedSysctls: Readonly<Record<string, string>> = {
  "net.ipv4.ping_group_range": "0 2147483647",
  "net.ipv4.ip_unprivileged_port_start": "0",
};

const goArchitectures: Readonly<Record<string, string>> = {
  x86_64: "amd64",
  aarch64: "arm64",
  armv7l: "arm",
  i686: "386",
  riscv64: "riscv64",
  ppc64le: "ppc64le",
  s390x: "s390x",
};

export function detectHost(): HostInfo {
  const kernel = parseKernelRelease(release());
  const status = readText("/proc/self/status");
  const cpus = parseCpuList(field(status, "Cpus_allowed_list"));
  return {
    hostname: hostname(),
    kernel,
    architecture: goArchitectures[machine()] ?? machine(),
    cpuCount: cpus.length,
    knownCapabilities: knownCapabilities(Number(readText("/proc/sys/kernel/cap_last_cap").trim())),
    capabilities: availableCapabilities(BigInt(`0x${field(status, "CapEff")}`)),
    cgroup: detectCgroupFeatures(),
    hasSeccomp: field(status, "Seccomp") !== "",
    hasAppArmor: hasAppArmor(),
    canConfine: canConfine(process.env),
    hasCgroupNamespaces: existsSync("/proc/self/ns/cgroup"),
    // The network service turns it on after this, so it is looked up each time.
    get isIpv4ForwardingDisabled() {
      return readText("/proc/sys/net/ipv4/ip_forward").trim() !== "1";
    },
    hasRecursiveReadOnly: isAtLeast(kernel, { major: 5, minor: 12 }),
    defaultSysctls: Object.fromEntries(
      Object.entries(wantedSysctls).filter(([name]) => existsSync(`/proc/sys/${name.replaceAll(".", "/")}`)),
    ),
    thermalThrottlePaths: parseCpuList(readText("/sys/devices/system/cpu/possible"))
      .map((cpu) => `/sys/devices/system/cpu/cpu${cpu}/thermal_throttle`)
      .filter((path) => existsSync(path)),
  };
}

export const isAtLeast = (kernel: KernelVersion, wanted: KernelVersion): boolean =>
  kernel.major > wanted.major || (kernel.major === wanted.major && kernel.minor >= wanted.minor);

export function parseKernelRelease(text: string): KernelVersion {
  const match = /^(\d+)\.(\d+)/.exec(text);
  return { major: Number(match?.[1] ?? 0), minor: Number(match?.[2] ?? 0) };
}

/** "0-2,5" → [0, 1, 2, 5]; the kernel's own files only. */
export function parseCpuList(text: string): number[] {
  return text
    .trim()
    .split(",")
    .filter((part) => part !== "")
    .flatMap((part) => {
      const [first = 0, last = first] = part.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, n) => first + n);
    });
}

const field = (status: string, name: string): string =>
  new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1]?.trim() ?? "";

/** "" where the kernel has no such file. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
