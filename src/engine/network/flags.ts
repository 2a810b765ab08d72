/** What the daemon's flags ask of the firewall, and what cannot be asked together. */

import type { FirewallPolicy } from "#network";
import type { DefaultBridgeConfig } from "./context.ts";
import { invalid } from "./errors.ts";

export const firewallPolicy = (bridge: DefaultBridgeConfig): FirewallPolicy => ({
  families: [...(bridge.isFirewallEnabled ? [4 as const] : []), ...(bridge.isFirewall6Enabled ? [6 as const] : [])],
  arePortsForOtherNetworks: bridge.isUserlandProxyEnabled,
  isDirectRoutingAllowed: bridge.isDirectRoutingAllowed,
});

/** moby's verifyDaemonSettings. */
export function checkFlags(bridge: DefaultBridgeConfig): void {
  for (const [flag, value] of [
    ["bip", bridge.bip],
    ["bip6", bridge.bip6],
  ] as const) {
    if (bridge.name !== "" && value !== "") {
      throw invalid(`You specified -b & --${flag}, mutually exclusive options. Please specify only one`);
    }
  }
  if (bridge.isIccEnabled) return;
  const missing = bridge.isFirewallEnabled ? undefined : "iptables";
  const missing6 = bridge.isIpv6Enabled && !bridge.isFirewall6Enabled ? "ip6tables" : undefined;
  const flag = missing ?? missing6;
  if (flag !== undefined) {
    throw invalid(
      `You specified --${flag}=false with --icc=false. ICC=false uses ${flag} to function. Please set --icc or --${flag} to true`,
    );
  }
}
