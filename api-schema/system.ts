/** moby api/types and api/types/system: version, info and disk usage (28.5, API 1.51), in Go's field order. */
import { ContainerSummary } from "#api-schema/container-summary";
import * as go from "#api-schema/go";
import { ImageSummary } from "#api-schema/image";
import { Volume } from "#api-schema/volume";

const ComponentVersion = go.struct("types.ComponentVersion", {
  Name: go.string(),
  Version: go.string(),
  Details: go.map(go.string(), { omitempty: true }),
});

/** The answer of GET /version. */
export type SystemVersion = go.Static<typeof SystemVersion>;
export const SystemVersion = go.struct("types.Version", {
  Platform: go.struct("struct { Name string }", { Name: go.string() }),
  Components: go.slice(ComponentVersion, { omitempty: true }),
  Version: go.string(),
  ApiVersion: go.string(),
  MinAPIVersion: go.string({ omitempty: true }),
  GitCommit: go.string(),
  GoVersion: go.string(),
  Os: go.string(),
  Arch: go.string(),
  KernelVersion: go.string({ omitempty: true }),
  Experimental: go.bool({ omitempty: true }),
  BuildTime: go.string({ omitempty: true }),
});

const labelled = (o: go.GoField = {}) => go.slice(go.pair(go.string()), o);
const Commit = go.struct("system.Commit", { ID: go.string(), Expected: go.optional(go.string({ omitempty: true })) });

const IndexInfo = go.struct("registry.IndexInfo", {
  Mirrors: go.slice(go.string()),
  Name: go.string(),
  Official: go.bool(),
  Secure: go.bool(),
});

/** Printed in the order of its keys: its marshaller goes through a map. */
const RegistryConfig = go.struct("registry.ServiceConfig", {
  IndexConfigs: go.map(go.ptr(IndexInfo)),
  InsecureRegistryCIDRs: go.slice(go.string()),
  Mirrors: go.slice(go.string()),
});

const RuntimeWithStatus = go.struct("system.RuntimeWithStatus", {
  path: go.optional(go.string({ omitempty: true })),
  runtimeArgs: go.optional(go.slice(go.string(), { omitempty: true })),
  runtimeType: go.optional(go.string({ omitempty: true })),
  options: go.optional(go.map(go.any(), { omitempty: true })),
  status: go.optional(go.map(go.string(), { omitempty: true })),
});

const SwarmInfo = go.struct("swarm.Info", {
  NodeID: go.string(),
  NodeAddr: go.string(),
  LocalNodeState: go.string(),
  ControlAvailable: go.bool(),
  Error: go.string(),
  RemoteManagers: go.slice(go.any()),
});

/** The answer of GET /info. */
export type SystemInfo = go.Static<typeof SystemInfo>;
export const SystemInfo = go.struct("system.Info", {
  ID: go.string(),
  Containers: go.int(),
  ContainersRunning: go.int(),
  ContainersPaused: go.int(),
  ContainersStopped: go.int(),
  Images: go.int(),
  Driver: go.string(),
  DriverStatus: labelled(),
  Plugins: go.struct("system.PluginsInfo", {
    Volume: go.slice(go.string()),
    Network: go.slice(go.string()),
    Authorization: go.slice(go.string()),
    Log: go.slice(go.string()),
  }),
  MemoryLimit: go.bool(),
  SwapLimit: go.bool(),
  KernelMemoryTCP: go.bool({ omitempty: true }),
  CpuCfsPeriod: go.bool(),
  CpuCfsQuota: go.bool(),
  CPUShares: go.bool(),
  CPUSet: go.bool(),
  PidsLimit: go.bool(),
  IPv4Forwarding: go.bool(),
  Debug: go.bool(),
  NFd: go.int(),
  OomKillDisable: go.bool(),
  NGoroutines: go.int(),
  SystemTime: go.string(),
  LoggingDriver: go.string(),
  CgroupDriver: go.string(),
  CgroupVersion: go.string({ omitempty: true }),
  NEventsListener: go.int(),
  KernelVersion: go.string(),
  OperatingSystem: go.string(),
  OSVersion: go.string(),
  OSType: go.string(),
  Architecture: go.string(),
  IndexServerAddress: go.string(),
  RegistryConfig: go.ptr(RegistryConfig),
  NCPU: go.int(),
  MemTotal: go.int64(),
  GenericResources: go.slice(go.any()),
  DockerRootDir: go.string(),
  HttpProxy: go.string(),
  HttpsProxy: go.string(),
  NoProxy: go.string(),
  Name: go.string(),
  Labels: go.slice(go.string()),
  ExperimentalBuild: go.bool(),
  ServerVersion: go.string(),
  Runtimes: go.map(RuntimeWithStatus),
  DefaultRuntime: go.string(),
  Swarm: SwarmInfo,
  LiveRestoreEnabled: go.bool(),
  Isolation: go.string(),
  InitBinary: go.string(),
  ContainerdCommit: Commit,
  RuncCommit: Commit,
  InitCommit: Commit,
  SecurityOptions: go.slice(go.string()),
  ProductLicense: go.optional(go.string({ omitempty: true })),
  DefaultAddressPools: go.optional(
    go.slice(go.struct("system.NetworkAddressPool", { Base: go.string(), Size: go.int() }), { omitempty: true }),
  ),
  FirewallBackend: go.ptr(
    go.struct("system.FirewallInfo", {
      Driver: go.string(),
      Info: go.optional(labelled({ omitempty: true })),
    }),
    { omitempty: true },
  ),
  CDISpecDirs: go.slice(go.string()),
  DiscoveredDevices: go.optional(
    go.slice(go.struct("system.DeviceInfo", { Source: go.string(), ID: go.string() }), { omitempty: true }),
  ),
  Containerd: go.ptr(
    go.struct("system.ContainerdInfo", {
      Address: go.string({ omitempty: true }),
      Namespaces: go.struct("system.ContainerdNamespaces", { Containers: go.string(), Plugins: go.string() }),
    }),
    { omitempty: true },
  ),
  Warnings: go.slice(go.string()),
});

/** The answer of GET /system/df. */
export type DiskUsage = go.Static<typeof DiskUsage>;
export const DiskUsage = go.struct("types.DiskUsage", {
  LayersSize: go.int64(),
  Images: go.slice(go.ptr(ImageSummary)),
  Containers: go.slice(go.ptr(ContainerSummary)),
  Volumes: go.slice(go.ptr(Volume)),
  /** The builder's cache records, which it shapes itself. */
  BuildCache: go.slice(go.any()),
});
