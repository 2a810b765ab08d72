/** What a create request becomes: every refusal of dockerd, in its order and words, and the record without its addresses. */
import { createHash } from "node:crypto";
import type { IPAMConfig, NetworkCreateRequest } from "#api-schema/network";
import { EngineError } from "#base/errors";
import type { Id } from "#base/ids";
import { booleanOf, goQuote } from "#base/strconv";
import {
  type Address,
  type AddressPool,
  addressFromBytes,
  choosePool,
  contains,
  type Family,
  formatAddress,
  formatPrefix,
  globalAddressPools,
  overlaps,
  Pool,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixOf,
} from "#network";
import { parseAnnouncing } from "../driver/announcing.ts";
import { type BridgeOptions, optionNames, parseBridgeOptions } from "../driver/bridge-options.ts";
import { checkSharing, isParentDriver, parseParentOptions } from "../driver/parent-options.ts";
import { forbidden, invalid } from "../errors.ts";
import { isPredefined } from "../modes.ts";
import { bridgeNameOf, type Network } from "../network.ts";
import type { NetworkRecord, PoolRecord } from "../record.ts";
import { validateIpam } from "./validate-ipam.ts";

export interface CreateContext {
  readonly networks: readonly Network[];
  readonly addressPools: readonly AddressPool[];
  /** `--default-network-opt`, by driver. */
  readonly defaultOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** What the host itself uses. */
  readonly reserved: () => readonly Prefix[];
  readonly isBridgeThere: (name: string) => boolean;
}

export function planNetwork(
  request: NetworkCreateRequest,
  identity: { readonly id: Id; readonly created: string },
  context: CreateContext,
): NetworkRecord {
  const driver = request.Driver === "" ? "bridge" : request.Driver;
  if (isPredefined(request.Name)) {
    throw forbidden(`operation is not permitted on predefined ${request.Name} network `);
  }
  if (driver === "overlay") {
    throw forbidden(
      'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
    );
  }
  const options = mergedOptions(request, driver, context);
  const families = enabledFamilies(request, options);
  validateIpam(request.IPAM, families.isIpv6Enabled);
  checkName(request.Name, context.networks);
  checkConfiguration(request, families);
  if ((request.ConfigFrom?.Network ?? "") === "") parseAnnouncing(options);
  const plain: NetworkRecord = {
    ...identity,
    name: request.Name,
    driver: request.ConfigOnly ? "null" : driver,
    scope: request.Scope === "" ? "local" : request.Scope,
    ...families,
    isInternal: request.Internal,
    isAttachable: request.Attachable,
    isConfigOnly: request.ConfigOnly,
    configFrom: request.ConfigFrom?.Network ?? "",
    ipamDriver: ipamDriver(request, driver),
    ipamOptions: request.IPAM?.Options ?? null,
    pools: (request.IPAM?.Config ?? []).map(requestedPool),
    options,
    labels: request.Labels ?? {},
    isBridgeForeign: false,
  };
  if (request.ConfigOnly) return plain;
  checkDriver(request, driver);
  return allocate(withConfiguration(plain, context), context);
}

function mergedOptions(request: NetworkCreateRequest, driver: string, context: CreateContext): Record<string, string> {
  const options = { ...(request.ConfigFrom === null ? context.defaultOptions[driver] : {}), ...request.Options };
  // Said twice, the field of the request counts, and the option would only mislead whoever inspects.
  if (request.EnableIPv4 !== null) delete options[optionNames.enableIpv4];
  if (request.EnableIPv6 !== null) delete options[optionNames.enableIpv6];
  return options;
}

function enabledFamilies(request: NetworkCreateRequest, options: Readonly<Record<string, string>>) {
  const read = (given: boolean | null, name: string, fallback: boolean): boolean => {
    const text = options[name];
    if (given !== null || text === undefined) return given ?? fallback;
    const value = booleanOf(text);
    if (value === undefined) throw invalid(`driver-opt ${goQuote(name)} is not a valid bool`);
    return value;
  };
  return {
    isIpv4Enabled: read(request.EnableIPv4, optionNames.enableIpv4, true),
    isIpv6Enabled: read(request.EnableIPv6, optionNames.enableIpv6, false),
  };
}

function checkName(name: string, networks: readonly Network[]): void {
  if (name.trim() === "") throw invalid("invalid name: name is empty");
  if (networks.some((network) => network.name === name)) {
    throw new EngineError("conflict", `network with name ${name} already exists`);
  }
}

type Families = { readonly isIpv4Enabled: boolean; readonly isIpv6Enabled: boolean };

function checkConfiguration(request: NetworkCreateRequest, families: Families): void {
  if (request.ConfigOnly) {
    if (request.Ingress || request.Internal || request.Attachable || request.Scope !== "") {
      throw forbidden(
        "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
      );
    }
    if ((request.ConfigFrom?.Network ?? "") !== "") {
      throw forbidden("a configuration network cannot depend on another configuration network");
    }
  }
  if ((request.ConfigFrom?.Network ?? "") === "") return;
  const isIpamSet =
    (request.IPAM?.Driver || "default") !== "default" ||
    isFilled(request.IPAM?.Options) ||
    (request.IPAM?.Config ?? []).length > 0;
  if (isIpamSet || !families.isIpv4Enabled || families.isIpv6Enabled || isFilled(request.Labels)) {
    throw forbidden(
      "user specified configurations are not supported if the network depends on a configuration network",
    );
  }
  if (isFilled(request.Options)) {
    throw forbidden("network driver options are not supported if the network depends on a configuration network");
  }
}

const isFilled = (map: object | null | undefined): boolean => Object.keys(map ?? {}).length > 0;

const ipamDriver = (request: NetworkCreateRequest, driver: string): string =>
  request.IPAM?.Driver || (isUnique(driver) ? "null" : "default");

function checkDriver(request: NetworkCreateRequest, driver: string): void {
  if (!isUnique(driver) && driver !== "bridge" && !isParentDriver(driver)) {
    throw new EngineError("notFound", `plugin ${goQuote(driver)} not found`);
  }
  if (request.Ingress) throw forbidden("Ingress network can only be global scope network");
  if (request.Scope === "swarm") throw forbidden("cannot create a swarm scoped network when swarm is not active");
}

const isUnique = (driver: string): boolean => driver === "host" || driver === "null";

const requestedPool = (config: IPAMConfig): PoolRecord => ({
  family: parsePrefix(config.Subnet)?.family ?? 4,
  requested: {
    subnet: config.Subnet,
    ipRange: config.IPRange,
    gateway: config.Gateway,
    auxiliaryAddresses: config.AuxiliaryAddresses,
  },
  subnet: "",
  ipRange: "",
  gateway: "",
});

/** What `--config-from` brings. */
function withConfiguration(record: NetworkRecord, { networks }: CreateContext): NetworkRecord {
  if (record.configFrom === "") return record;
  const source = networks.find(({ record: other }) => other.isConfigOnly && other.name === record.configFrom)?.record;
  if (source === undefined) {
    throw new EngineError("notFound", `configuration network ${goQuote(record.configFrom)} does not exist`);
  }
  const { isIpv4Enabled, isIpv6Enabled, labels, ipamOptions, pools, options } = source;
  return { ...record, isIpv4Enabled, isIpv6Enabled, labels, ipamOptions, pools, options };
}

function allocate(record: NetworkRecord, context: CreateContext): NetworkRecord {
  if (isUnique(record.driver)) throw forbidden(`only one instance of ${goQuote(record.driver)} network is allowed`);
  const bridge = parseBridgeOptions(record.driver === "bridge" ? record.options : {});
  checkBridge(record, bridge);
  checkParent(record, context.networks);
  if (record.ipamDriver === "null") throw emptyPoolError(record.isIpv4Enabled ? 4 : 6);
  if (record.ipamDriver !== "default") {
    throw new EngineError("notFound", `plugin ${goQuote(record.ipamDriver)} not found`);
  }
  const isEnabled = (family: Family) => (family === 4 ? record.isIpv4Enabled : record.isIpv6Enabled);
  const pools = ([4, 6] as const).filter(isEnabled).flatMap((family) => {
    const asked = record.pools.filter((pool) => pool.family === family);
    return (asked.length > 0 ? asked : [emptyPool(family)]).map((pool) => givenPool(pool, bridge, record, context));
  });
  const count = (family: Family) => pools.filter((pool) => pool.family === family).length;
  if (pools.length === 0) throw invalid("IPv4 or IPv6 must be enabled");
  if (record.driver === "bridge" && (count(4) > 1 || count(6) > 1))
    throw forbidden("bridge driver doesn't support multiple subnets");
  if (record.driver === "bridge") checkBridgePools(record, pools, context.networks);
  // What was asked for a family that is off is still shown.
  const unused = record.pools.filter(({ family }) => !isEnabled(family));
  return {
    ...record,
    pools: [...pools, ...unused],
    isBridgeForeign: bridge.name !== "" && context.isBridgeThere(bridge.name),
  };
}

function checkParent({ driver, id, options }: NetworkRecord, networks: readonly Network[]): void {
  if (!isParentDriver(driver)) return;
  const others = networks.flatMap((network) =>
    network.link === undefined ? [] : [{ id: network.id, link: network.link }],
  );
  checkSharing(parseParentOptions(driver, options, id), others);
}

function checkBridge(record: NetworkRecord, bridge: BridgeOptions): void {
  const isIsolated = bridge.gatewayMode4 === "isolated" || bridge.gatewayMode6 === "isolated";
  if (isIsolated && !record.isInternal) {
    throw new EngineError("system", "gateway mode 'isolated' can only be used for an internal network");
  }
}

const emptyPool = (family: Family): PoolRecord => ({
  family,
  requested: { subnet: "", ipRange: "", gateway: "", auxiliaryAddresses: null },
  subnet: "",
  ipRange: "",
  gateway: "",
});

function givenPool(pool: PoolRecord, bridge: BridgeOptions, record: NetworkRecord, context: CreateContext): PoolRecord {
  const { family, requested } = pool;
  const addressPools = record.scope === "global" ? globalAddressPools : context.addressPools;
  const taken = context.networks.flatMap((network) => network.pools(family).map(({ subnet }) => subnet));
  const subnet = parsePrefix(requested.subnet) ?? choosePool(addressPools, family, [...taken, ...context.reserved()]);
  // As moby: a pool with an ip-range may overlap another one, unless it is the very same.
  const isTaken =
    requested.ipRange === ""
      ? taken.some((other) => overlaps(other, subnet))
      : context.networks.some(({ record: { pools } }) =>
          pools.some((other) => other.subnet === formatPrefix(subnet) && other.ipRange === requested.ipRange),
        );
  if (requested.subnet !== "" && isTaken) {
    throw forbidden("invalid pool request: Pool overlaps with other one on this address space");
  }
  const isGatewayless =
    (isParentDriver(record.driver) && record.isInternal) ||
    (family === 4 ? bridge.gatewayMode4 : bridge.gatewayMode6) === "isolated" ||
    (family === 4 && bridge.isIpv4Inhibited && record.isInternal);
  const gateway = isGatewayless && requested.gateway === "" ? undefined : chooseGateway(pool, subnet);
  return {
    family,
    requested,
    subnet: formatPrefix(subnet),
    ipRange: requested.ipRange,
    gateway: gateway === undefined ? "" : formatAddress(gateway),
  };
}

/** The first address of the range, before the auxiliary ones are taken out: an auxiliary address on it is refused. */
export function chooseGateway({ requested }: Pick<PoolRecord, "requested">, subnet: Prefix): Address {
  const leases = new Pool(subnet, parsePrefix(requested.ipRange) ?? subnet);
  const asked = parseAddress(requested.gateway);
  const gateway = asked === undefined ? leases.lease() : leaseGateway(leases, asked);
  for (const [name, text] of Object.entries(requested.auxiliaryAddresses ?? {})) {
    const address = parseAddress(text);
    if (address === undefined || !contains(subnet, address)) continue;
    try {
      leases.leaseExactly(address);
    } catch (error) {
      throw allocationError(`failed to allocate secondary ip address (${name}:${text})`, error);
    }
  }
  return gateway;
}

function leaseGateway(leases: Pool, address: Address): Address {
  try {
    return leases.leaseExactly(address);
  } catch (error) {
    throw allocationError(`failed to allocate gateway (${formatAddress(address)})`, error);
  }
}

const allocationError = (what: string, error: unknown): EngineError =>
  new EngineError("system", `${what}: ${error instanceof Error ? error.message : error}`, { cause: error });

function checkBridgePools(
  { id, options }: NetworkRecord,
  pools: readonly PoolRecord[],
  networks: readonly Network[],
): void {
  for (const { family, subnet, gateway } of pools) {
    const prefix = parsePrefix(subnet);
    if (prefix === undefined) continue;
    if (prefix.length === 0) throw emptyPoolError(family);
    if (family === 6)
      checkIpv6Subnet(
        prefix,
        `${gateway === "" ? formatAddress({ family, value: prefix.base }) : gateway}/${prefix.length}`,
      );
  }
  const name = bridgeNameOf(id, options[optionNames.name] ?? "");
  for (const rival of networks.filter(({ isBridge }) => isBridge)) {
    const reason = conflictOf(name, pools, rival);
    if (reason === undefined) continue;
    throw forbidden(
      `cannot create network ${id} (${name}): conflicts with network ${rival.id} (${rival.bridgeName}): networks have ${reason}`,
    );
  }
}

function conflictOf(bridgeName: string, pools: readonly PoolRecord[], rival: Network): string | undefined {
  if (rival.bridgeName === bridgeName) return "same bridge name";
  const overlapping = pools.find(({ family, subnet }) => {
    const prefix = parsePrefix(subnet);
    return rival.pools(family).some((other) => prefix !== undefined && overlaps(other.subnet, prefix));
  });
  return overlapping === undefined ? undefined : `overlapping IPv${overlapping.family}`;
}

/** moby's validateIPv6Subnet. */
export function checkIpv6Subnet(prefix: Prefix, shown: string): void {
  if (overlaps(prefix, multicast6)) throw invalid(`multicast subnet '${shown}' is not allowed`);
  if (prefix.length !== linkLocal6.length && overlaps(prefix, linkLocal6)) {
    throw invalid(`'${shown}' clashes with the Link-Local prefix '${formatPrefix(linkLocal6)}'`);
  }
}

const multicast6: Prefix = { family: 6, base: 0xffn << 120n, length: 8 };
const linkLocal6: Prefix = { family: 6, base: 0xfe80n << 112n, length: 64 };

const emptyPoolError = (family: Family): EngineError => invalid(`ipv${family} pool is empty`);

/** The /48 that IPv6 networks are cut from: unique to this host and the same after every restart (RFC 4193, moby). */
export function uniqueLocalPool(hostId: string): AddressPool {
  const digest = createHash("sha256").update(hostId).digest();
  const bytes = Buffer.alloc(16);
  bytes[0] = 0xfd;
  digest.copy(bytes, 1, 0, 5);
  return { base: prefixOf(addressFromBytes(bytes), 48), size: 64 };
}
