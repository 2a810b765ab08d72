import type { CgroupFeatures } from "../spec/cgroup-features.ts";
import type { HostInfo } from "../spec/host-info.ts";
import type { SystemFacts } from "./service.ts";

type Facts = Pick<SystemFacts, "openAddresses" | "seccompProfile">;

/** What `docker info` warns of, in moby's words and order (daemon/info.go). */
export function systemWarnings(facts: Facts, host: HostInfo): string[] {
  const warnings = [
    ...facts.openAddresses.map(openAddressWarning),
    ...missing(host.cgroup).map((limit) => `WARNING: No ${limit} support`),
  ];
  if (host.isIpv4ForwardingDisabled) warnings.push("WARNING: IPv4 forwarding is disabled");
  if (host.hasSeccomp && facts.seccompProfile !== "builtin")
    warnings.push("WARNING: daemon is not using the default seccomp profile");
  return warnings;
}

/** Limits that the cgroups of this machine cannot hold, and that a machine of their version could. */
function missing(cgroup: CgroupFeatures): string[] {
  const isV2 = cgroup.version === 2;
  const throttle = (isThere: boolean, v1: string, v2: string): [boolean, string] => [
    isThere,
    isV2 ? `io.max (${v2})` : `blkio throttle.${v1}_device`,
  ];
  const limits: [isThere: boolean, name: string][] = [
    [cgroup.memoryLimit, "memory limit"],
    [cgroup.swapLimit, "swap limit"],
    [cgroup.kernelMemoryTcp || isV2, "kernel memory TCP limit"],
    [cgroup.oomKillDisable || isV2, "oom kill disable"],
    [cgroup.cpuCfs, "cpu cfs quota"],
    [cgroup.cpuCfs, "cpu cfs period"],
    [cgroup.cpuShares, "cpu shares"],
    [cgroup.cpuset, "cpuset"],
    // Under v1 the kernel has none since 5.0, and nobody can do anything about it.
    [cgroup.blkioWeight || !isV2, "io.weight"],
    [cgroup.blkioWeightDevice || !isV2, "io.weight (per device)"],
    throttle(cgroup.blkioReadBps, "read_bps", "rbps"),
    throttle(cgroup.blkioWriteBps, "write_bps", "wbps"),
    throttle(cgroup.blkioReadIops, "read_iops", "riops"),
    throttle(cgroup.blkioWriteIops, "write_iops", "wiops"),
  ];
  return limits.filter(([isThere]) => !isThere).map(([, name]) => name);
}

function openAddressWarning({ address, isEncrypted }: SystemFacts["openAddresses"][number]): string {
  const [scheme, gap] = isEncrypted ? ["https", "TLS client verification"] : ["http", "encryption"];
  return `[DEPRECATION NOTICE]: API is accessible on ${scheme}://${address} without ${gap}.
         Access to the remote API is equivalent to root access on the host. Refer
         to the 'Docker daemon attack surface' section in the documentation for
         more information: https://docs.docker.com/go/attack-surface/
In future versions this will be a hard failure preventing the daemon from starting! Learn more at: https://docs.docker.com/go/api-security/`;
}
