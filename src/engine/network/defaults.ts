/** The networks that are always there: `bridge`, `host` and `none`. Their ids stay over restarts. */
import { formatTime } from "#base/clock";
import { EngineError, messageOf } from "#base/errors";
import { newId } from "#base/ids";
import {
  choosePool,
  contains,
  type Family,
  formatAddress,
  formatPrefix,
  Pool,
  type Prefix,
  parseAddress,
  parseCidr,
  parsePrefix,
  prefixOf,
} from "#network";
import type { DefaultBridgeConfig, NetworkContext } from "./context.ts";
import { checkIpv6Subnet, chooseGateway } from "./create/create.ts";
import { reservedPrefixes } from "./create/reserved.ts";
import { type Cidr, chooseBridgeAddress, isWithin } from "./driver/bridge-address.ts";
import { optionNames } from "./driver/bridge-options.ts";
import { invalid, prefixed } from "./errors.ts";
import type { Network } from "./network.ts";
import type { NetworkRecord, PoolRecord } from "./record.ts";

export const defaultBridgeName = "docker0";

/** `isInUse`: containers run on what is there, so the flags of this start do not count yet. */
export function ensureDefaultNetworks(context: NetworkContext, isInUse: boolean): void {
  for (const [name, driver] of [
    ["none", "null"],
    ["host", "host"],
  ] as const) {
    if (context.networks.findByName(name) === undefined) context.networks.insert(plainRecord(context, name, driver));
  }
  const existing = context.networks.findByName("bridge");
  const { bridge } = context.config;
  if (bridge.name === "none") {
    if (existing !== undefined) context.networks.delete(existing);
    return;
  }
  if (existing !== undefined && isInUse) return;
  const record = startUp(() => bridgeRecord(context, existing));
  if (existing !== undefined) context.networks.delete(existing);
  context.networks.insert(record);
}

/** The flags may be such that no network can be made of them: the engine does not start. */
export function startUp<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw prefixed("Error initializing network controller", error);
  }
}

function plainRecord(context: NetworkContext, name: string, driver: string): NetworkRecord {
  return {
    id: newId(),
    name,
    created: formatTime(context.clock.now()),
    driver,
    scope: "local",
    isIpv4Enabled: true,
    isIpv6Enabled: false,
    isInternal: false,
    isAttachable: false,
    isConfigOnly: false,
    configFrom: "",
    ipamDriver: "default",
    ipamOptions: null,
    pools: [],
    options: {},
    labels: {},
    isBridgeForeign: false,
  };
}

function bridgeRecord(context: NetworkContext, existing: Network | undefined): NetworkRecord {
  const { bridge } = context.config;
  const name = bridge.name === "" ? defaultBridgeName : bridge.name;
  if (name !== defaultBridgeName && !context.bridges.exists(name)) {
    throw bridgeError(`bridge device with non default name ${name} must be created manually`);
  }
  const range6 = parsedCidr(bridge.fixedCidrV6, "fixed-cidr-v6")?.prefix;
  if (range6 !== undefined) checkIpv6Subnet(range6, bridge.fixedCidrV6);
  const plain = plainRecord(context, "bridge", "bridge");
  return {
    ...plain,
    id: existing?.id ?? plain.id,
    created: existing?.record.created ?? plain.created,
    isIpv6Enabled: bridge.isIpv6Enabled,
    pools: [
      defaultPool(context, 4, name, existing),
      ...(bridge.isIpv6Enabled ? [defaultPool(context, 6, name, existing)] : []),
    ],
    options: bridgeOptions(bridge, name),
    isBridgeForeign: context.bridges.isForeign(name),
  };
}

const bridgeOptions = (bridge: DefaultBridgeConfig, name: string): Record<string, string> => ({
  [optionNames.isDefault]: "true",
  [optionNames.connected]: String(bridge.isIccEnabled),
  [optionNames.masquerade]: String(bridge.isMasqueraded && bridge.isFirewallEnabled),
  [optionNames.hostAddress]: bridge.defaultBindingAddress === "" ? "0.0.0.0" : bridge.defaultBindingAddress,
  [optionNames.name]: name,
  [optionNames.mtu]: String(bridge.mtu === 0 ? 1500 : bridge.mtu),
});

function defaultPool(context: NetworkContext, family: Family, name: string, existing: Network | undefined): PoolRecord {
  const { bridge } = context.config;
  const [bip, fixedCidr, gateway] =
    family === 4
      ? [bridge.bip, bridge.fixedCidr, bridge.defaultGateway]
      : [bridge.bip6, bridge.fixedCidrV6, bridge.defaultGatewayV6];
  const range = parsedCidr(fixedCidr, family === 4 ? "fixed-cidr" : "fixed-cidr-v6");
  const asked = parsedCidr(bip, family === 4 ? "bip" : "bip6") ?? addressOnBridge(context, { family, name, range });
  const auxiliaryAddresses = gateway === "" ? null : { [`DefaultGatewayIPv${family}`]: gateway };
  if (asked !== undefined) {
    const subnet = formatPrefix(asked.prefix);
    const own = formatAddress(asked.address);
    const ipRange = rangeIn(asked.prefix, range, bridge);
    const requested = { subnet, ipRange, gateway: own, auxiliaryAddresses };
    checkAddresses(requested, asked.prefix);
    return { family, requested, subnet, ipRange, gateway: own };
  }
  const before = existing?.record.pools.find((pool) => pool.family === family && pool.requested.subnet === "");
  const subnet = range?.prefix ?? parsePrefix(before?.subnet ?? "") ?? freePool(context, family, existing);
  const ipRange = range === undefined ? "" : formatPrefix(range.prefix);
  const requested = { subnet: ipRange, ipRange, gateway: "", auxiliaryAddresses };
  checkAddresses(requested, subnet);
  const own = formatAddress(new Pool(subnet).lease());
  return { family, requested, subnet: formatPrefix(subnet), ipRange, gateway: own };
}

const bridgeError = (reason: string): EngineError =>
  new EngineError("system", `error creating default "bridge" network: ${reason}`);

function parsedCidr(text: string, option: string): ReturnType<typeof parseCidr> {
  const cidr = parseCidr(text);
  if (text === "" || cidr !== undefined) return cidr;
  throw invalid(`parse ${option} failed: invalid CIDR address: ${text}`);
}

function checkAddresses(requested: PoolRecord["requested"], subnet: Prefix): void {
  for (const [name, text] of Object.entries(requested.auxiliaryAddresses ?? {})) {
    const address = parseAddress(text);
    if (address !== undefined && contains(subnet, address)) continue;
    throw bridgeError(`auxiliary address: (${name}:${text}) must belong to the master pool: ${formatPrefix(subnet)}`);
  }
  try {
    chooseGateway({ requested }, subnet);
  } catch (error) {
    throw bridgeError(messageOf(error));
  }
}

function freePool(context: NetworkContext, family: Family, existing: Network | undefined) {
  const others = context.networks.list().filter((network) => network !== existing);
  const taken = others.flatMap((network) => network.pools(family).map(({ subnet }) => subnet));
  return choosePool(context.config.addressPools, family, [...taken, ...reservedPrefixes(context)]);
}

/** A range outside of what an administrator gave the bridge was always let pass for IPv4, as if it were not asked for. */
function rangeIn(subnet: Prefix, range: Cidr | undefined, bridge: DefaultBridgeConfig): string {
  if (range === undefined) return "";
  if (!isUserManaged(bridge) || isWithin(subnet, range)) return formatPrefix(range.prefix);
  if (subnet.family === 4) return "";
  const reason = "is outside any subnet implied by addresses on the user-managed default bridge";
  throw new EngineError("system", `fixed-cidr-v6=${bridge.fixedCidrV6} ${reason}`);
}

const isUserManaged = ({ name }: DefaultBridgeConfig): boolean => name !== "";

interface BridgeQuestion {
  readonly family: Family;
  readonly name: string;
  readonly range: Cidr | undefined;
}

/** Of a bridge that an administrator made: its addresses decide. Ours has the one that we gave it before. */
function addressOnBridge(context: NetworkContext, { family, name, range }: BridgeQuestion): Cidr | undefined {
  if (!context.bridges.isForeign(name)) return undefined;
  const present = context.bridges
    .addresses(name)
    .filter(({ address }) => address.family === family)
    .map(({ address, length }) => ({ address, prefix: prefixOf(address, length) }));
  return chooseBridgeAddress({ present, range, isUserManaged: isUserManaged(context.config.bridge) });
}
