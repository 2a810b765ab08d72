import type { Access, BridgeSetup, FirewallNetwork } from "#network";
import type { NetworkContext } from "../context.ts";
import type { Network } from "../network.ts";
import type { GatewayMode } from "./bridge-options.ts";

type Parts = Pick<NetworkContext, "bridges" | "firewall" | "forwarding" | "config">;

/** Makes the kernel's side of a bridge network: interface, gateway addresses, forwarding, firewall. Idempotent. */
export function setUpBridge({ bridges, firewall, forwarding, config }: Parts, network: Network): void {
  const { record, bridge, bridgeName } = network;
  bridges.ensure({
    name: bridgeName,
    mtu: bridge.mtu > 0 ? bridge.mtu : undefined,
    addresses: hostAddresses(network),
    isIpv6Enabled: record.isIpv6Enabled && bridge.gatewayMode6 !== "isolated",
    // Nobody but our table keeps its containers from the host's own loopback then.
    isReachedFromLoopback: !record.isInternal && config.bridge.isFirewallEnabled,
    // Without a firewall nothing else would keep its containers apart.
    isIsolated: record.name === "bridge" && !bridge.areContainersConnected && config.bridge.isFirewallEnabled,
  });
  if (config.bridge.isForwardingEnabled) {
    if (record.isIpv4Enabled) forwarding.ensure(4);
    if (record.isIpv6Enabled) forwarding.ensure(6);
  }
  firewall.addNetwork(firewallNetwork(network));
}

export async function tearDownBridge({ bridges, firewall }: Parts, network: Network): Promise<void> {
  firewall.removeNetwork(network.bridgeName);
  if (!network.record.isBridgeForeign) await bridges.remove(network.bridgeName);
}

/** The gateways that the host itself is. */
function hostAddresses(network: Network): BridgeSetup["addresses"] {
  const { bridge } = network;
  return ([4, 6] as const).flatMap((family) => {
    const isLeftOut =
      family === 4 ? bridge.isIpv4Inhibited || bridge.gatewayMode4 === "isolated" : bridge.gatewayMode6 === "isolated";
    const address = network.gateway(family);
    const prefix = network.pools(family)[0]?.subnet;
    return isLeftOut || address === undefined || prefix === undefined ? [] : [{ address, prefix }];
  });
}

function firewallNetwork(network: Network): FirewallNetwork {
  const { record, bridge, bridgeName } = network;
  const { sourceAddress4, sourceAddress6, trustedInterfaces } = bridge;
  const isNat = (mode: string) => bridge.isMasqueraded && !record.isInternal && mode !== "routed";
  return {
    bridge: bridgeName,
    isInternal: record.isInternal,
    areContainersConnected: bridge.areContainersConnected,
    isMasqueraded4: isNat(bridge.gatewayMode4),
    isMasqueraded6: isNat(bridge.gatewayMode6),
    access4: accessOf(bridge.gatewayMode4),
    access6: accessOf(bridge.gatewayMode6),
    sourceAddresses: [
      isNat(bridge.gatewayMode4) ? sourceAddress4 : undefined,
      isNat(bridge.gatewayMode6) ? sourceAddress6 : undefined,
    ].filter((address) => address !== undefined),
    trustedInterfaces,
    subnets: [...network.pools(4), ...network.pools(6)].map(({ subnet }) => subnet),
  };
}

function accessOf(mode: GatewayMode): Access {
  if (mode === "routed") return "routed";
  return mode === "nat-unprotected" ? "unprotected" : "published";
}
