/** moby api/types/container: Config and HostConfig (28.5, API 1.51), in Go's field order. */
import * as go from "#api-schema/go";
import { Mount } from "#api-schema/mount";
import { NetworkingConfig, PortMap } from "#api-schema/network-settings";

export type HealthConfig = go.Static<typeof HealthConfig>;
/** Durations are nanoseconds. */
export const HealthConfig = go.struct("v1.HealthcheckConfig", {
  Test: go.slice(go.string(), { omitempty: true }),
  Interval: go.int64({ omitempty: true, type: "time.Duration" }),
  Timeout: go.int64({ omitempty: true, type: "time.Duration" }),
  StartPeriod: go.int64({ omitempty: true, type: "time.Duration" }),
  StartInterval: go.int64({ omitempty: true, type: "time.Duration" }),
  Retries: go.int({ omitempty: true }),
});

const configFields = {
  Hostname: go.string(),
  Domainname: go.string(),
  User: go.string(),
  AttachStdin: go.bool(),
  AttachStdout: go.bool(),
  AttachStderr: go.bool(),
  ExposedPorts: go.map(go.empty, { omitempty: true, type: "nat.PortSet" }),
  Tty: go.bool(),
  OpenStdin: go.bool(),
  StdinOnce: go.bool(),
  Env: go.slice(go.string()),
  Cmd: go.strslice(),
  Healthcheck: go.ptr(HealthConfig, { omitempty: true }),
  ArgsEscaped: go.bool({ omitempty: true }),
  Image: go.string(),
  Volumes: go.map(go.empty),
  WorkingDir: go.string(),
  Entrypoint: go.strslice(),
  NetworkDisabled: go.bool({ omitempty: true }),
  MacAddress: go.string({ omitempty: true }),
  OnBuild: go.slice(go.string()),
  Labels: go.map(go.string()),
  StopSignal: go.string({ omitempty: true }),
  StopTimeout: go.ptr(go.int(), { omitempty: true }),
  Shell: go.strslice({ omitempty: true }),
};

/** What is portable about a container; what an image carries as its config. */
export type ContainerConfig = go.Static<typeof ContainerConfig>;
export const ContainerConfig = go.struct("container.Config", configFields);

const WeightDevice = go.struct("blkiodev.WeightDevice", { Path: go.string(), Weight: go.uint16() });
const ThrottleDevice = go.struct("blkiodev.ThrottleDevice", { Path: go.string(), Rate: go.uint64() });
export type DeviceMapping = go.Static<typeof DeviceMapping>;
export const DeviceMapping = go.struct("container.DeviceMapping", {
  PathOnHost: go.string(),
  PathInContainer: go.string(),
  CgroupPermissions: go.string(),
});
export type DeviceRequest = go.Static<typeof DeviceRequest>;
export const DeviceRequest = go.struct("container.DeviceRequest", {
  Driver: go.string(),
  Count: go.int(),
  DeviceIDs: go.slice(go.string()),
  Capabilities: go.slice(go.slice(go.string())),
  Options: go.map(go.string()),
});
export type Ulimit = go.Static<typeof Ulimit>;
export const Ulimit = go.struct("units.Ulimit", { Name: go.string(), Hard: go.int64(), Soft: go.int64() });

export type RestartPolicy = go.Static<typeof RestartPolicy>;
export const RestartPolicy = go.struct("container.RestartPolicy", {
  Name: go.string({ type: "container.RestartPolicyMode" }),
  MaximumRetryCount: go.int(),
});

const resourceFields = {
  CpuShares: go.int64(),
  Memory: go.int64(),
  NanoCpus: go.int64(),
  CgroupParent: go.string(),
  BlkioWeight: go.uint16(),
  BlkioWeightDevice: go.slice(go.ptr(WeightDevice)),
  BlkioDeviceReadBps: go.slice(go.ptr(ThrottleDevice)),
  BlkioDeviceWriteBps: go.slice(go.ptr(ThrottleDevice)),
  BlkioDeviceReadIOps: go.slice(go.ptr(ThrottleDevice)),
  BlkioDeviceWriteIOps: go.slice(go.ptr(ThrottleDevice)),
  CpuPeriod: go.int64(),
  CpuQuota: go.int64(),
  CpuRealtimePeriod: go.int64(),
  CpuRealtimeRuntime: go.int64(),
  CpusetCpus: go.string(),
  CpusetMems: go.string(),
  Devices: go.slice(DeviceMapping),
  DeviceCgroupRules: go.slice(go.string()),
  DeviceRequests: go.slice(DeviceRequest),
  KernelMemory: go.int64({ omitempty: true }),
  KernelMemoryTCP: go.int64({ omitempty: true }),
  MemoryReservation: go.int64(),
  MemorySwap: go.int64(),
  MemorySwappiness: go.ptr(go.int64()),
  OomKillDisable: go.ptr(go.bool()),
  PidsLimit: go.ptr(go.int64()),
  Ulimits: go.slice(go.ptr(Ulimit)),
  CpuCount: go.int64(),
  CpuPercent: go.int64(),
  IOMaximumIOps: go.uint64(),
  IOMaximumBandwidth: go.uint64(),
};

/** What `docker update` may change. */
export type Resources = go.Static<typeof Resources>;
export const Resources = go.struct("container.Resources", resourceFields);

/** What ties a container to this host. */
export type HostConfig = go.Static<typeof HostConfig>;
export const HostConfig = go.struct("container.HostConfig", {
  Binds: go.slice(go.string()),
  ContainerIDFile: go.string(),
  LogConfig: go.struct("container.LogConfig", { Type: go.string(), Config: go.map(go.string()) }),
  NetworkMode: go.string({ type: "container.NetworkMode" }),
  PortBindings: PortMap,
  RestartPolicy,
  AutoRemove: go.bool(),
  VolumeDriver: go.string(),
  VolumesFrom: go.slice(go.string()),
  ConsoleSize: go.pair(go.uint()),
  Annotations: go.map(go.string(), { omitempty: true }),
  CapAdd: go.strslice(),
  CapDrop: go.strslice(),
  CgroupnsMode: go.string({ type: "container.CgroupnsMode" }),
  Dns: go.slice(go.string()),
  DnsOptions: go.slice(go.string()),
  DnsSearch: go.slice(go.string()),
  ExtraHosts: go.slice(go.string()),
  GroupAdd: go.slice(go.string()),
  IpcMode: go.string({ type: "container.IpcMode" }),
  Cgroup: go.string({ type: "container.CgroupSpec" }),
  Links: go.slice(go.string()),
  OomScoreAdj: go.int(),
  PidMode: go.string({ type: "container.PidMode" }),
  Privileged: go.bool(),
  PublishAllPorts: go.bool(),
  ReadonlyRootfs: go.bool(),
  SecurityOpt: go.slice(go.string()),
  StorageOpt: go.map(go.string(), { omitempty: true }),
  Tmpfs: go.map(go.string(), { omitempty: true }),
  UTSMode: go.string({ type: "container.UTSMode" }),
  UsernsMode: go.string({ type: "container.UsernsMode" }),
  ShmSize: go.int64(),
  Sysctls: go.map(go.string(), { omitempty: true }),
  Runtime: go.string({ omitempty: true }),
  Isolation: go.string({ type: "container.Isolation" }),
  ...resourceFields,
  Mounts: go.slice(Mount, { omitempty: true }),
  MaskedPaths: go.slice(go.string()),
  ReadonlyPaths: go.slice(go.string()),
  Init: go.ptr(go.bool(), { omitempty: true }),
});

/** The body of POST /containers/create. */
export type CreateRequest = go.Static<typeof CreateRequest>;
export const CreateRequest = go.struct("container.CreateRequest", {
  ...configFields,
  HostConfig: go.ptr(HostConfig, { omitempty: true }),
  NetworkingConfig: go.ptr(NetworkingConfig, { omitempty: true }),
});
