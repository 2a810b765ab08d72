import { booleanOf, goQuote } from "#base/strconv";
import { type Address, parseAddress } from "#network";
import { invalid } from "../errors.ts";

/** What `-o` says to the bridge driver (moby libnetwork/drivers/bridge, fromLabels). */
export interface BridgeOptions {
  /** Empty: named after the network's id. */
  readonly name: string;
  readonly mtu: number;
  readonly isMasqueraded: boolean;
  readonly areContainersConnected: boolean;
  /** The host's side of the bridge gets no IPv4 address. */
  readonly isIpv4Inhibited: boolean;
  readonly isDefaultBridge: boolean;
  readonly defaultHostAddress: Address | undefined;
  readonly interfacePrefix: string;
  readonly gatewayMode4: GatewayMode;
  readonly gatewayMode6: GatewayMode;
  /** What its containers' packets come from when they leave the host; otherwise the interface decides. */
  readonly sourceAddress4: Address | undefined;
  readonly sourceAddress6: Address | undefined;
  /** Interfaces of the host from which published ports are reached by the containers' own addresses. */
  readonly trustedInterfaces: readonly string[];
}

export type GatewayMode = "" | "nat" | "nat-unprotected" | "routed" | "isolated";

const bridge = "com.docker.network.bridge.";
export const optionNames = {
  name: `${bridge}name`,
  masquerade: `${bridge}enable_ip_masquerade`,
  connected: `${bridge}enable_icc`,
  inhibit: `${bridge}inhibit_ipv4`,
  isDefault: `${bridge}default_bridge`,
  hostAddress: `${bridge}host_binding_ipv4`,
  gatewayMode4: `${bridge}gateway_mode_ipv4`,
  gatewayMode6: `${bridge}gateway_mode_ipv6`,
  trusted: `${bridge}trusted_host_interfaces`,
  sourceAddress4: "com.docker.network.host_ipv4",
  sourceAddress6: "com.docker.network.host_ipv6",
  mtu: "com.docker.network.driver.mtu",
  prefix: "com.docker.network.container_iface_prefix",
  enableIpv4: "com.docker.network.enable_ipv4",
  enableIpv6: "com.docker.network.enable_ipv6",
} as const;

type Options = Readonly<Record<string, string>>;

export function parseBridgeOptions(options: Options): BridgeOptions {
  return {
    name: options[optionNames.name] ?? "",
    mtu: readNumber(options, optionNames.mtu),
    isMasqueraded: readBool(options, optionNames.masquerade, true),
    areContainersConnected: readBool(options, optionNames.connected, true),
    isIpv4Inhibited: readBool(options, optionNames.inhibit, false),
    isDefaultBridge: readBool(options, optionNames.isDefault, false),
    defaultHostAddress: readAddress(options, optionNames.hostAddress),
    interfacePrefix: options[optionNames.prefix] ?? "",
    gatewayMode4: readGatewayMode(options, optionNames.gatewayMode4),
    gatewayMode6: readGatewayMode(options, optionNames.gatewayMode6),
    sourceAddress4: readAddress(options, optionNames.sourceAddress4),
    sourceAddress6: readAddress(options, optionNames.sourceAddress6),
    trustedInterfaces: (options[optionNames.trusted] ?? "").split(":").filter((name) => name !== ""),
  };
}

const refuse = (name: string, value: string, reason: string): never => {
  throw invalid(`failed to parse ${name} value: ${value} (${reason})`);
};

function readBool(options: Options, name: string, fallback: boolean): boolean {
  const text = options[name];
  if (text === undefined) return fallback;
  const value = booleanOf(text);
  return value ?? refuse(name, text, `strconv.ParseBool: parsing ${goQuote(text)}: invalid syntax`);
}

function readNumber(options: Options, name: string): number {
  const text = options[name];
  if (text === undefined) return 0;
  if (!/^[+-]?\d+$/.test(text)) {
    return refuse(name, text, `strconv.Atoi: parsing ${goQuote(text)}: invalid syntax`);
  }
  if (Number(text) < 0) throw invalid(`invalid MTU number: ${Number(text)}`);
  return Number(text);
}

function readAddress(options: Options, name: string): Address | undefined {
  const text = options[name];
  if (text === undefined) return undefined;
  return parseAddress(text) ?? refuse(name, text, "nil ip");
}

function readGatewayMode(options: Options, name: string): GatewayMode {
  const text = options[name];
  switch (text) {
    case undefined:
      return "";
    case "nat":
    case "nat-unprotected":
    case "routed":
    case "isolated":
      return text;
    default:
      return refuse(name, text, `unknown gateway mode ${text}`);
  }
}
