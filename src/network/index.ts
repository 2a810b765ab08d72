/** The door of `src/network`: what the kernel does for networks, without knowing containers or Docker. */
export * from "./address.ts";
export { Announcer, type Announcing } from "./announcer.ts";
export { type BridgeSetup, Bridges } from "./bridge.ts";
export {
  type Access,
  Firewall,
  type FirewallNetwork,
  type PortForward,
  type PortLink,
  type Protocol,
} from "./firewall.ts";
export type { FirewallPolicy } from "./firewall-rules.ts";
export { Flows } from "./flows.ts";
export { Forwarding } from "./forwarding.ts";
export { type AddressPool, choosePool, defaultAddressPools, globalAddressPools, Pool } from "./ipam.ts";
export { type ChildLink, ParentLinks } from "./parents.ts";
export { type DefaultRoute, formatMac, type Plug, portName, randomMac } from "./plug.ts";
export { ephemeralPorts, PortAllocator, PortError, type PortRange } from "./port-allocator.ts";
export { type PortOwner, type PortRequest, Ports, type PublishedPort, parseHostAddress } from "./ports.ts";
export { type NamedEndpoint, Relay, type RelayOptions, type Resolver, type Upstream } from "./relay.ts";
export { type Sandbox as NetworkSandbox, Sandboxes } from "./sandbox.ts";
