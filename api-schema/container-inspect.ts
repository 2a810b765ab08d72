/** moby api/types/container: the answer of GET /containers/{id}/json (28.5, API 1.51), in Go's field order. */
import { ContainerConfig, HostConfig } from "#api-schema/container-config";
import * as go from "#api-schema/go";
import { MountPoint } from "#api-schema/mount";
import { EndpointSettings, PortMap } from "#api-schema/network-settings";

const HealthcheckResult = go.struct("HealthcheckResult", {
  Start: go.time(),
  End: go.time(),
  ExitCode: go.int(),
  Output: go.string(),
});

export type Health = go.Static<typeof Health>;
export const Health = go.struct("Health", {
  Status: go.string(),
  FailingStreak: go.int(),
  Log: go.slice(go.ptr(HealthcheckResult)),
});

export type InspectState = go.Static<typeof InspectState>;
export const InspectState = go.struct("State", {
  Status: go.string(),
  Running: go.bool(),
  Paused: go.bool(),
  Restarting: go.bool(),
  OOMKilled: go.bool(),
  Dead: go.bool(),
  Pid: go.int(),
  ExitCode: go.int(),
  Error: go.string(),
  StartedAt: go.string(),
  FinishedAt: go.string(),
  Health: go.ptr(Health, { omitempty: true }),
});

/** Where the snapshot lies; Go prints `Data` first. */
export type GraphDriver = go.Static<typeof GraphDriver>;
export const GraphDriver = go.struct("DriverData", { Data: go.map(go.string()), Name: go.string() });

const Address = go.struct("Address", { Addr: go.string(), PrefixLen: go.int() });

export type NetworkSettings = go.Static<typeof NetworkSettings>;
export const NetworkSettings = go.struct("NetworkSettings", {
  Bridge: go.string(),
  SandboxID: go.string(),
  SandboxKey: go.string(),
  Ports: PortMap,
  HairpinMode: go.bool(),
  LinkLocalIPv6Address: go.string(),
  LinkLocalIPv6PrefixLen: go.int(),
  SecondaryIPAddresses: go.slice(Address),
  SecondaryIPv6Addresses: go.slice(Address),
  EndpointID: go.string(),
  Gateway: go.string(),
  GlobalIPv6Address: go.string(),
  GlobalIPv6PrefixLen: go.int(),
  IPAddress: go.string(),
  IPPrefixLen: go.int(),
  IPv6Gateway: go.string(),
  MacAddress: go.string(),
  Networks: go.map(go.ptr(EndpointSettings)),
});

export type ContainerInspect = go.Static<typeof ContainerInspect>;
export const ContainerInspect = go.struct("InspectResponse", {
  Id: go.string(),
  Created: go.string(),
  Path: go.string(),
  Args: go.slice(go.string()),
  State: go.ptr(InspectState),
  Image: go.string(),
  ResolvConfPath: go.string(),
  HostnamePath: go.string(),
  HostsPath: go.string(),
  LogPath: go.string(),
  Name: go.string(),
  RestartCount: go.int(),
  Driver: go.string(),
  Platform: go.string(),
  MountLabel: go.string(),
  ProcessLabel: go.string(),
  AppArmorProfile: go.string(),
  ExecIDs: go.slice(go.string()),
  HostConfig: go.ptr(HostConfig),
  GraphDriver,
  SizeRw: go.ptr(go.int64(), { omitempty: true }),
  SizeRootFs: go.ptr(go.int64(), { omitempty: true }),
  Mounts: go.slice(MountPoint),
  Config: go.ptr(ContainerConfig),
  NetworkSettings: go.ptr(NetworkSettings),
});
