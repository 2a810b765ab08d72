/** moby api/types/network (28.5, API 1.51): the bodies of /networks. */
import * as go from "#api-schema/go";
import { EndpointSettings } from "#api-schema/network-settings";

export type IPAMConfig = go.Static<typeof IPAMConfig>;
export const IPAMConfig = go.struct("network.IPAMConfig", {
  Subnet: go.string({ omitempty: true }),
  IPRange: go.string({ omitempty: true }),
  Gateway: go.string({ omitempty: true }),
  AuxiliaryAddresses: go.map(go.string(), { omitempty: true }),
});

export type IPAM = go.Static<typeof IPAM>;
export const IPAM = go.struct("network.IPAM", {
  Driver: go.string(),
  Options: go.map(go.string()),
  Config: go.slice(IPAMConfig),
});

export const ConfigReference = go.struct("network.ConfigReference", { Network: go.string() });

/** One container in `Containers` of a network's inspect answer. */
export type EndpointResource = go.Static<typeof EndpointResource>;
export const EndpointResource = go.struct("EndpointResource", {
  Name: go.string(),
  EndpointID: go.string(),
  MacAddress: go.string(),
  IPv4Address: go.string(),
  IPv6Address: go.string(),
});

export type NetworkInspect = go.Static<typeof NetworkInspect>;
export const NetworkInspect = go.struct("Inspect", {
  Name: go.string(),
  Id: go.string(),
  Created: go.time(),
  Scope: go.string(),
  Driver: go.string(),
  EnableIPv4: go.bool(),
  EnableIPv6: go.bool(),
  IPAM,
  Internal: go.bool(),
  Attachable: go.bool(),
  Ingress: go.bool(),
  ConfigFrom: ConfigReference,
  ConfigOnly: go.bool(),
  Containers: go.map(EndpointResource),
  Options: go.map(go.string()),
  Labels: go.map(go.string()),
});
export const NetworkList = go.slice(NetworkInspect);

/** The body of POST /networks/create. */
export type NetworkCreateRequest = go.Static<typeof NetworkCreateRequest>;
export const NetworkCreateRequest = go.struct("network.CreateRequest", {
  Name: go.string(),
  Driver: go.string(),
  Scope: go.string(),
  EnableIPv4: go.ptr(go.bool(), { omitempty: true }),
  EnableIPv6: go.ptr(go.bool(), { omitempty: true }),
  IPAM: go.ptr(IPAM),
  Internal: go.bool(),
  Attachable: go.bool(),
  Ingress: go.bool(),
  ConfigOnly: go.bool(),
  ConfigFrom: go.ptr(ConfigReference),
  Options: go.map(go.string()),
  Labels: go.map(go.string()),
});

export const NetworkCreateResponse = go.struct("CreateResponse", { Id: go.string(), Warning: go.string() });

/** The body of POST /networks/{id}/connect. */
export const NetworkConnectRequest = go.struct("network.ConnectOptions", {
  Container: go.string(),
  EndpointConfig: go.ptr(EndpointSettings, { omitempty: true }),
});

/** The body of POST /networks/{id}/disconnect. */
export const NetworkDisconnectRequest = go.struct("network.DisconnectOptions", {
  Container: go.string(),
  Force: go.bool(),
});

export const NetworksPruneReport = go.struct("PruneReport", { NetworksDeleted: go.slice(go.string()) });
