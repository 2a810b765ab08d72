import type { EndpointResource, IPAMConfig, NetworkInspect } from "#api-schema/network";
import { formatAddress } from "#network";
import type { Filters } from "../filters.ts";
import { invalid } from "./errors.ts";
import { isPredefined } from "./modes.ts";
import type { Endpoint, Network } from "./network.ts";
import type { PoolRecord } from "./record.ts";

/** moby's buildNetworkResource. */
export function inspectNetwork(network: Network, isDetailed: boolean): NetworkInspect {
  const { record } = network;
  return {
    Name: record.name,
    Id: record.id,
    Created: record.created,
    Scope: record.scope,
    Driver: record.driver,
    EnableIPv4: record.isIpv4Enabled,
    EnableIPv6: record.isIpv6Enabled,
    IPAM: { Driver: record.ipamDriver, Options: record.ipamOptions, Config: ipamConfig(record.pools) },
    Internal: record.isInternal,
    Attachable: record.isAttachable,
    Ingress: false,
    ConfigFrom: { Network: record.configFrom },
    ConfigOnly: record.isConfigOnly,
    Containers: isDetailed ? attachedContainers(network) : {},
    Options: record.options,
    Labels: record.labels,
  };
}

/** What was asked for; for a family where nothing was, what was given. */
function ipamConfig(pools: readonly PoolRecord[]): IPAMConfig[] | null {
  const asked = pools.filter(({ requested }) => requested.subnet !== "");
  const given = pools.filter((pool) => !asked.some(({ family }) => family === pool.family));
  const config = [
    ...asked.map(({ requested }) => ({
      Subnet: requested.subnet,
      IPRange: requested.ipRange,
      Gateway: requested.gateway,
      AuxiliaryAddresses: requested.auxiliaryAddresses,
    })),
    ...given.map(({ subnet, gateway }) => ({
      Subnet: subnet,
      IPRange: "",
      Gateway: gateway,
      AuxiliaryAddresses: null,
    })),
  ];
  return config.length === 0 ? null : config;
}

function attachedContainers(network: Network): Record<string, EndpointResource> {
  return Object.fromEntries(
    network.endpoints.map((endpoint) => [endpoint.container.id, endpointResource(network, endpoint)]),
  );
}

function endpointResource(network: Network, endpoint: Endpoint): EndpointResource {
  const { address4, address6 } = endpoint;
  const length = (address: typeof address4) => (address === undefined ? 0 : network.poolOf(address)?.subnet.length);
  return {
    Name: endpoint.container.name,
    EndpointID: endpoint.id,
    MacAddress: endpoint.mac,
    IPv4Address: address4 === undefined ? "" : `${formatAddress(address4)}/${length(address4)}`,
    IPv6Address: address6 === undefined ? "" : `${formatAddress(address6)}/${length(address6)}`,
  };
}

const listFilters = ["dangling", "driver", "id", "label", "name", "scope", "type"];

/** moby's FilterNetworks. */
export function filterNetworks(networks: readonly Network[], filters: Filters): Network[] {
  filters.validate(listFilters);
  const found = networks.filter(
    ({ record }) =>
      filters.exact("driver", record.driver) &&
      filters.pattern("name", record.name) &&
      filters.pattern("id", record.id) &&
      filters.labels("label", record.labels) &&
      filters.exact("scope", record.scope),
  );
  return byType(byUse(found, filters.get("dangling")), filters.get("type"));
}

function byUse(networks: Network[], values: readonly string[]): Network[] {
  const [value] = values;
  if (value === undefined) return networks;
  if (values.length > 1) throw invalid('got more than one value for filter key "dangling"');
  if (!["0", "false", "1", "true"].includes(value)) {
    throw invalid(`invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`);
  }
  const isDanglingWanted = value === "1" || value === "true";
  // moby filters before it looks who is attached: whatever is not its own counts as dangling.
  return networks.filter((network) => isDanglingWanted === !isPredefined(network.name));
}

function byType(networks: Network[], values: readonly string[]): Network[] {
  if (values.length === 0) return networks;
  for (const value of values) {
    if (value !== "builtin" && value !== "custom") throw new Error(`invalid filter: 'type'='${value}'`);
  }
  return networks.filter(({ name }) => values.includes(isPredefined(name) ? "builtin" : "custom"));
}
