import type { Clock } from "#base/clock";
import type { Locks } from "#base/locks";
import type { Log } from "#base/log";
import type {
  AddressPool,
  Announcer,
  Bridges,
  Firewall,
  Flows,
  Forwarding,
  ParentLinks,
  Ports,
  Relay,
  Sandboxes,
} from "#network";
import type { Spawner } from "#runtime";
import type { ContainerRecord } from "#storage";
import type { Events } from "../events.ts";
import type { UserRemap } from "../user-remap.ts";
import type { DnsSettings } from "./etc/resolv-conf.ts";
import type { NetworkIndex } from "./network-index.ts";

/** What the daemon's flags say about the default bridge (dockerd's `--bridge`, `--bip` and their neighbours). */
export interface DefaultBridgeConfig {
  /** Interface name; empty for docker0, `none` for no default bridge. */
  readonly name: string;
  /** Address with prefix length ("172.17.0.1/16"), or empty for one from the default pools. */
  readonly bip: string;
  readonly bip6: string;
  readonly fixedCidr: string;
  readonly fixedCidrV6: string;
  readonly defaultGateway: string;
  readonly defaultGatewayV6: string;
  readonly isIccEnabled: boolean;
  /** Host address that published ports bind to when the client names none. */
  readonly defaultBindingAddress: string;
  readonly mtu: number;
  readonly isIpv6Enabled: boolean;
  readonly isMasqueraded: boolean;
  readonly isForwardingEnabled: boolean;
  /** A host that forwards because of us may be a router between its neighbours. */
  readonly isForwardingOpen: boolean;
  readonly isFirewallEnabled: boolean;
  readonly isFirewall6Enabled: boolean;
  /** The relay passes on what the kernel's NAT does not take. */
  readonly isUserlandProxyEnabled: boolean;
  readonly isDirectRoutingAllowed: boolean;
}

export interface NetworkConfig {
  readonly bridge: DefaultBridgeConfig;
  readonly addressPools: readonly AddressPool[];
  readonly defaultNetworkOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly dns: DnsSettings;
  /** Empty: the default bridge's address. */
  readonly hostGateways: readonly string[];
}

/** The containers as the network side needs them. */
export interface ContainerLookup {
  find(ref: string): ContainerRecord | undefined;
  /** Docker's error when there is none. */
  get(ref: string): ContainerRecord;
  save(record: ContainerRecord): void;
}

/** What the parts of the network service work with. */
export interface NetworkContext {
  readonly networks: NetworkIndex;
  readonly sandboxes: Sandboxes;
  readonly announcer: Announcer;
  readonly bridges: Bridges;
  readonly parents: ParentLinks;
  readonly firewall: Firewall;
  readonly flows: Flows;
  readonly forwarding: Forwarding;
  readonly ports: Ports;
  /** Answers names and holds ports, whether the daemon is there or not. */
  readonly relay: Relay;
  readonly containers: ContainerLookup;
  /** What was recorded outlives a power cut when it resolves. */
  readonly sync: () => Promise<void>;
  readonly events: Events;
  /** The containers' own: whoever changes a container's networks holds its lock. */
  readonly locks: Locks;
  readonly clock: Clock;
  readonly log: Log;
  readonly config: NetworkConfig;
  readonly userRemap: UserRemap | undefined;
  readonly makeNamespaces: Spawner["makeNamespaces"];
}
