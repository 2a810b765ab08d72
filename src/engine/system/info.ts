import { readdir, readFile } from "node:fs/promises";
import { arch, hostname, release, totalmem } from "node:os";
import type { SystemInfo } from "#api-schema/system";
import type { RuntimeFeatures } from "#runtime";
import { findDevices } from "../cdi/devices.ts";
import { noDirectories } from "../cdi/injection.ts";
import type { ContainerIndex } from "../container/container-index.ts";
import { logDrivers } from "../log/options.ts";
import type { RegistryTrust, SystemFacts, SystemParts } from "./service.ts";
import { systemWarnings } from "./warnings.ts";

/** GET /info, in the order of moby's system.Info. */
export async function systemInfo({
  index,
  images,
  events,
  host,
  registry,
  features,
  facts,
}: SystemParts): Promise<SystemInfo> {
  const [os, fds, cdi] = await Promise.all([
    operatingSystem(),
    readdir("/proc/self/fd").catch(() => []),
    discoveredDevices(facts.cdiSpecDirs),
  ]);
  const { cgroup } = host;
  const now = new Date();
  return {
    ID: facts.id,
    ...countStates(index),
    Images: images.count,
    Driver: "overlay2",
    DriverStatus: [
      ["Backing Filesystem", facts.backingFilesystem],
      ["Supports d_type", "true"],
      ["Using metacopy", "false"],
      ["Native Overlay Diff", "true"],
      ["userxattr", "false"],
    ],
    Plugins: {
      Volume: ["local"],
      Network: ["bridge", "host", "ipvlan", "macvlan", "null", "overlay"],
      Authorization: null,
      Log: [...logDrivers],
    },
    MemoryLimit: cgroup.memoryLimit,
    SwapLimit: cgroup.swapLimit,
    KernelMemoryTCP: cgroup.kernelMemoryTcp,
    CpuCfsPeriod: cgroup.cpuCfs,
    CpuCfsQuota: cgroup.cpuCfs,
    CPUShares: cgroup.cpuShares,
    CPUSet: cgroup.cpuset,
    PidsLimit: cgroup.pidsLimit,
    IPv4Forwarding: !host.isIpv4ForwardingDisabled,
    Debug: facts.isDebug,
    NFd: fds.length,
    OomKillDisable: cgroup.oomKillDisable,
    NGoroutines: process.getActiveResourcesInfo().length,
    SystemTime: now.toISOString(),
    LoggingDriver: facts.loggingDriver,
    CgroupDriver: "cgroupfs",
    CgroupVersion: String(cgroup.version),
    NEventsListener: events.watcherCount,
    KernelVersion: release(),
    OperatingSystem: os.name,
    OSVersion: os.version,
    OSType: "linux",
    Architecture: arch() === "x64" ? "x86_64" : "aarch64",
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: registryConfig(registry.config),
    NCPU: host.cpuCount,
    MemTotal: totalmem(),
    GenericResources: null,
    DockerRootDir: facts.dataRoot,
    HttpProxy: facts.proxies.http,
    HttpsProxy: facts.proxies.https,
    NoProxy: facts.proxies.no,
    Name: hostname(),
    Labels: [...facts.labels],
    ExperimentalBuild: facts.isExperimental,
    ServerVersion: facts.version,
    Runtimes: runtimesOf(facts, features),
    DefaultRuntime: facts.defaultRuntime,
    Swarm: inactiveSwarm,
    LiveRestoreEnabled: facts.isLiveRestoreEnabled,
    Isolation: "",
    InitBinary: "docker-init",
    Containerd: null,
    ContainerdCommit: commit(""),
    RuncCommit: commit(facts.gitCommit),
    InitCommit: commit(facts.gitCommit),
    SecurityOptions: securityOptions(host, facts),
    ProductLicense: "",
    DefaultAddressPools: facts.defaultAddressPools.map(({ base, size }) => ({ Base: base, Size: size })),
    FirewallBackend: { Driver: "nftables", Info: null },
    DiscoveredDevices: cdi.devices,
    CDISpecDirs: [...(facts.cdiSpecDirs ?? [])],
    Warnings: nullIfEmpty([...systemWarnings(facts, host), ...cdi.warnings]),
  };
}

const nullIfEmpty = (list: string[]): string[] | null => (list.length === 0 ? null : list);

async function discoveredDevices(specDirs: SystemFacts["cdiSpecDirs"]) {
  if (specDirs?.length === 0) return { devices: [], warnings: [`CDI cache initialization failed: ${noDirectories}`] };
  const { devices, problems } = await findDevices(specDirs ?? []);
  return {
    devices: [...devices.keys()].sort().map((ID) => ({ Source: "cdi", ID })),
    warnings: problems.map(([path, problem]) => `CDI: Error associated with spec file ${path}: ${problem}`),
  };
}

function countStates(index: ContainerIndex) {
  const all = index.list();
  const paused = all.filter((container) => container.status === "paused").length;
  const running = all.filter((container) => container.isRunning).length - paused;
  return {
    Containers: all.length,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: all.length - running - paused,
  };
}

function registryConfig({ mirrors, insecureCidrs, insecureHosts }: RegistryTrust): SystemInfo["RegistryConfig"] {
  const index = (name: string, secure: boolean, official: boolean, own: readonly string[]) => ({
    Name: name,
    Mirrors: [...own],
    Secure: secure,
    Official: official,
  });
  return {
    InsecureRegistryCIDRs: [...insecureCidrs],
    IndexConfigs: {
      "docker.io": index("docker.io", true, true, mirrors),
      ...Object.fromEntries(insecureHosts.map((host) => [host, index(host, false, false, [])])),
    },
    Mirrors: mirrors.length === 0 ? null : [...mirrors],
  };
}

/** `runc` and its shim's name are what clients ask for by default; they are served by the default runtime. */
function runtimesOf(facts: SystemFacts, features: RuntimeFeatures): SystemInfo["Runtimes"] {
  const statusOf = (path: string) => {
    const text = features.of(path);
    return text === undefined ? null : { "org.opencontainers.runtime-spec.features": text };
  };
  const entries = Object.entries(facts.runtimes).map(([name, { path, args }]) => [
    name,
    { path, runtimeArgs: args.length === 0 ? null : [...args], runtimeType: "", options: null, status: statusOf(path) },
  ]);
  return Object.fromEntries(entries);
}

const commit = (id: string) => ({ ID: id, Expected: "" });

const inactiveSwarm = {
  NodeID: "",
  NodeAddr: "",
  LocalNodeState: "inactive",
  ControlAvailable: false,
  Error: "",
  RemoteManagers: null,
};

function securityOptions(host: SystemParts["host"], facts: SystemFacts): string[] {
  const options: string[] = [];
  if (host.hasAppArmor) options.push("name=apparmor");
  if (host.hasSeccomp) options.push(`name=seccomp,profile=${facts.seccompProfile}`);
  if (facts.isRemapped) options.push("name=userns");
  if (host.cgroup.version === 2 && host.hasCgroupNamespaces) options.push("name=cgroupns");
  if (facts.hasNoNewPrivileges) options.push("name=no-new-privileges");
  return options;
}

async function operatingSystem(): Promise<{ name: string; version: string }> {
  const text = await readFile("/etc/os-release", "utf8").catch(() =>
    readFile("/usr/lib/os-release", "utf8").catch(() => ""),
  );
  const value = (key: string) => new RegExp(`^${key}="?([^"\n]*)"?$`, "m").exec(text)?.[1] ?? "";
  return { name: value("PRETTY_NAME") || "Linux", version: value("VERSION_ID") };
}
