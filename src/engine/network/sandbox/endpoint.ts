/**
 * One container joins one network: check, lease addresses, plug in, show. Synchronous throughout, so that two containers never
 * see the same free address; each step is undone when a later one fails.
 */
import type { EndpointSettings } from "#api-schema/network-settings";
import { EngineError } from "#base/errors";
import type { Id } from "#base/ids";
import {
  type Address,
  contains,
  type Family,
  formatAddress,
  formatMac,
  type Plug,
  type Prefix,
  parseAddress,
  prefixOf,
  randomMac,
} from "#network";
import type { ContainerRecord } from "#storage";
import type { NetworkContext } from "../context.ts";
import { parseAnnouncing } from "../driver/announcing.ts";
import { forbidden, invalid, prefixed } from "../errors.ts";
import { isIpv6Off, isUserNetwork } from "../modes.ts";
import type { ContainerSandbox, Endpoint, Network } from "../network.ts";
import { type Attachment, dnsNames, validateSettings, withoutOperational } from "./endpoint-settings.ts";
import { gatewayText } from "./gateways.ts";
import { announce, linksOf } from "./names.ts";
import { checkNetworks } from "./networks.ts";

export function joinNetwork(
  context: NetworkContext,
  sandbox: ContainerSandbox,
  network: Network,
  asked: Attachment,
): { readonly endpoint: Endpoint; readonly settings: Attachment } {
  const { container } = sandbox;
  const settings = withoutOperational(asked);
  if (isUserNetwork(network.name)) settings.DNSNames = dnsNames(container, settings.Aliases);
  validateSettings({ ...settings, MacAddress: asked.desiredMacAddress ?? "" }, network.name, network.record);
  checkNetworks(context, container, network);
  if (network.record.isConfigOnly) throw forbidden("cannot create endpoint on configuration-only network");
  if (network.findEndpoint(container.name) !== undefined) {
    throw forbidden(`endpoint with name ${container.name} already exists in network ${network.name}`);
  }
  const endpoint = network.hasInterfaces
    ? plugIn(context, sandbox, network, settings)
    : bareEndpoint(context.sandboxes.newEndpointId(), network, container);
  network.addEndpoint(endpoint);
  sandbox.endpoints.push(endpoint);
  announce(context.relay, endpoint);
  return { endpoint, settings: operational(settings, endpoint) };
}

const bareEndpoint = (id: Id, network: Network, container: ContainerRecord): Endpoint => ({
  id,
  network,
  container,
  interfaceName: "",
  mac: "",
  address4: undefined,
  address6: undefined,
  priority: 0,
  names: [],
  links: {},
});

function plugIn(context: NetworkContext, sandbox: ContainerSandbox, network: Network, settings: Attachment): Endpoint {
  if (sandbox.network === undefined) {
    throw new EngineError("system", "failed to add interface to sandbox: the host's own takes none");
  }
  const interfaceName = askedInterfaceName(settings) ?? freeInterfaceName(sandbox, network);
  const isFirst = sandbox.endpoints.length === 0 && interfaceName === "eth0" && network.isBridge;
  const id = (isFirst ? sandbox.network?.readyEndpointId : undefined) ?? context.sandboxes.newEndpointId();
  const addresses = leaseAddresses(network, settings, { hasIpv6: !isIpv6Off(sandbox.container) });
  try {
    const mac = macAddress(network, settings);
    const plug: Plug = {
      endpointId: id,
      name: interfaceName,
      link: network.link ?? {
        kind: "bridge",
        bridge: network.bridgeName,
        isIsolated: !network.bridge.areContainersConnected,
      },
      mac,
      mtu: network.bridge.mtu > 0 ? network.bridge.mtu : undefined,
      addresses: [...ownAddresses(network, addresses), ...linkLocalAddresses(settings)],
      sysctls: interfaceSysctls(settings, interfaceName),
    };
    const ready = isFirst ? sandbox.network : undefined;
    context.sandboxes.plug(ready ?? { id: sandbox.id, key: sandbox.key, readyEndpointId: undefined }, plug);
    if (mac !== undefined) {
      const own = [addresses.address4, addresses.address6].filter((address) => address !== undefined);
      const announcement = { endpointId: id, key: sandbox.key, name: interfaceName, mac, addresses: own };
      context.announcer.begin(announcement, parseAnnouncing(network.record.options));
    }
    const { container } = sandbox;
    const names = (settings.DNSNames ?? []).map((name) => name.toLowerCase());
    const priority = Number(settings.GwPriority);
    const links = linksOf(settings.Links);
    return {
      id,
      network,
      container,
      interfaceName,
      mac: mac === undefined ? "" : formatMac(mac),
      ...addresses,
      priority,
      names,
      links,
    };
  } catch (error) {
    for (const address of [addresses.address4, addresses.address6]) {
      if (address !== undefined) network.poolOf(address)?.release(address);
    }
    throw error;
  }
}

const ownAddresses = (network: Network, { address4, address6 }: Addresses): Plug["addresses"] =>
  [address4, address6].flatMap((address) => {
    const prefix = address === undefined ? undefined : network.poolOf(address)?.subnet;
    return address === undefined || prefix === undefined ? [] : [{ address, prefix }];
  });

/** `--link-local-ip`: further addresses that nobody leases. moby gives them the length of their range. */
const linkLocalAddresses = ({ IPAMConfig }: Attachment): Plug["addresses"] =>
  (IPAMConfig?.LinkLocalIPs ?? []).flatMap((text) => {
    const address = parseAddress(text);
    if (address === undefined) return [];
    if (!contains(linkLocal[address.family], address)) throw invalid(`invalid link local IP address: ${text}`);
    return [{ address, prefix: prefixOf(address, address.family === 4 ? 16 : 64) }];
  });

const linkLocal: Readonly<Record<Family, Prefix>> = {
  4: { family: 4, base: 0xa9fe_0000n, length: 16 },
  6: { family: 6, base: 0xfe80n << 112n, length: 10 },
};

function freeInterfaceName(sandbox: ContainerSandbox, network: Network): string {
  const prefix = network.bridge.interfacePrefix === "" ? "eth" : network.bridge.interfacePrefix;
  const taken = new Set(sandbox.endpoints.map((endpoint) => endpoint.interfaceName));
  for (let n = 0; ; n += 1) if (!taken.has(`${prefix}${n}`)) return `${prefix}${n}`;
}

interface Addresses {
  readonly address4: Address | undefined;
  readonly address6: Address | undefined;
}

function leaseAddresses(
  network: Network,
  { IPAMConfig }: Attachment,
  { hasIpv6 }: { readonly hasIpv6: boolean },
): Addresses {
  const address4 = network.record.isIpv4Enabled ? leaseAddress(network, 4, IPAMConfig?.IPv4Address ?? "") : undefined;
  try {
    const isIpv6Wanted = network.record.isIpv6Enabled && hasIpv6;
    const address6 = isIpv6Wanted ? leaseAddress(network, 6, IPAMConfig?.IPv6Address ?? "") : undefined;
    return { address4, address6 };
  } catch (error) {
    if (address4 !== undefined) network.poolOf(address4)?.release(address4);
    throw error;
  }
}

function leaseAddress(network: Network, family: Family, asked: string): Address {
  const wanted = parseAddress(asked);
  if (wanted !== undefined) {
    const pool = network.poolOf(wanted);
    if (pool !== undefined) return pool.leaseExactly(wanted);
    throw invalid(`invalid address ${asked}: It does not belong to any of this network's subnets`);
  }
  for (const pool of network.pools(family)) {
    try {
      return pool.lease();
    } catch (error) {
      if (!(error instanceof EngineError) || error.kind !== "unavailable") throw error;
    }
  }
  throw new EngineError(
    "system",
    `no available IPv${family} addresses on this network's address pools: ${network.name} (${network.id})`,
  );
}

function macAddress({ link }: Network, { desiredMacAddress = "" }: Attachment): Uint8Array | undefined {
  if (link?.kind === "ipvlan") return undefined;
  return desiredMacAddress === "" ? randomMac() : Buffer.from(desiredMacAddress.replace(/[:-]/g, ""), "hex");
}

/** Takes the place of `eth` and a number. */
const interfaceNameOption = "com.docker.network.endpoint.ifname";

export function askedInterfaceName(settings: EndpointSettings | undefined): string | undefined {
  const name = settings?.DriverOpts?.[interfaceNameOption] ?? "";
  return name === "" ? undefined : name;
}

/** "net.ipv4.IFNAME.log_martians=1" as moby reads it: net.X.Y.IFNAME.Z=V. */
function interfaceSysctls({ DriverOpts }: Attachment, name: string): (readonly [string, string])[] {
  const text = DriverOpts?.["com.docker.network.endpoint.sysctls"];
  if (text === undefined) return [];
  return text.split(",").map((sysctl) => {
    const equals = sysctl.indexOf("=");
    if (equals < 0) throw new EngineError("system", `expected sysctl '${sysctl}' to have format name=value`);
    const [net = "", family = "", group = "", , ...setting] = sysctl.slice(0, equals).split(".");
    return [[net, family, group, name, ...setting].join("/"), sysctl.slice(equals + 1)] as const;
  });
}

function operational(settings: Attachment, endpoint: Endpoint): Attachment {
  const { network, address4, address6 } = endpoint;
  return {
    ...settings,
    NetworkID: network.id,
    EndpointID: endpoint.id,
    MacAddress: endpoint.mac,
    Gateway: gatewayText(endpoint, 4),
    IPAddress: address4 === undefined ? "" : formatAddress(address4),
    IPPrefixLen: address4 === undefined ? 0 : (network.poolOf(address4)?.subnet.length ?? 0),
    IPv6Gateway: gatewayText(endpoint, 6),
    GlobalIPv6Address: address6 === undefined ? "" : formatAddress(address6),
    GlobalIPv6PrefixLen: address6 === undefined ? 0 : (network.poolOf(address6)?.subnet.length ?? 0),
  };
}

export const endpointError = (endpoint: Endpoint, error: unknown): EngineError =>
  prefixed(
    `driver failed programming external connectivity on endpoint ${endpoint.container.name} (${endpoint.id})`,
    error,
  );
