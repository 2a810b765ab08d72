import * as go from "#api-schema/go";

export type EndpointIPAMConfig = go.Static<typeof EndpointIPAMConfig>;
export const EndpointIPAMConfig = go.struct("network.EndpointIPAMConfig", {
  IPv4Address: go.string({ omitempty: true }),
  IPv6Address: go.string({ omitempty: true }),
  LinkLocalIPs: go.slice(go.string(), { omitempty: true }),
});

/** One container on one network: what was asked for, then what is. */
export type EndpointSettings = go.Static<typeof EndpointSettings>;
export const EndpointSettings = go.struct("network.EndpointSettings", {
  IPAMConfig: go.ptr(EndpointIPAMConfig),
  Links: go.slice(go.string()),
  Aliases: go.slice(go.string()),
  MacAddress: go.string(),
  DriverOpts: go.map(go.string()),
  GwPriority: go.int(),
  NetworkID: go.string(),
  EndpointID: go.string(),
  Gateway: go.string(),
  IPAddress: go.string(),
  IPPrefixLen: go.int(),
  IPv6Gateway: go.string(),
  GlobalIPv6Address: go.string(),
  GlobalIPv6PrefixLen: go.int(),
  DNSNames: go.slice(go.string()),
});

export type NetworkingConfig = go.Static<typeof NetworkingConfig>;
export const NetworkingConfig = go.struct("network.NetworkingConfig", {
  EndpointsConfig: go.map(go.ptr(EndpointSettings)),
});

export type PortBinding = go.Static<typeof PortBinding>;
export const PortBinding = go.struct("nat.PortBinding", { HostIp: go.string(), HostPort: go.string() });

/** "80/tcp" → host addresses; null where the port is exposed and not published. */
export type PortMap = go.Static<typeof PortMap>;
export const PortMap = go.map(go.slice(PortBinding), { type: "nat.PortMap" });
