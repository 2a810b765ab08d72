import { addressBytes, type Family } from "./address.ts";
import * as nft from "./netlink/nft-expressions.ts";
import { type Chain, concatenate, type SetDefinition } from "./netlink/nftables.ts";

/** What our table holds before any network: sets and maps, chains, and rules that never change. `nft list table` prints them. */
export interface FirewallPolicy {
  /** The others' packets are none of our business (`--iptables=false`, `--ip6tables=false`). */
  readonly families: readonly Family[];
  /** Containers of other networks reach published ports by the host's address (dockerd: because its proxy lets them). */
  readonly arePortsForOtherNetworks: boolean;
  /** Published ports are open at the containers' own addresses, too. */
  readonly isDirectRoutingAllowed: boolean;
}

const interfaceKey = concatenate("interface");
const pairKey = concatenate("interface", "interface");
const target4 = concatenate("ipv4Address", "port");
const target6 = concatenate("ipv6Address", "port");

export const sets: readonly SetDefinition[] = [
  { name: "bridges", key: interfaceKey },
  { name: "internal", key: interfaceKey },
  // Its containers do not talk to each other.
  { name: "isolated", key: interfaceKey },
  { name: "masquerade4", key: interfaceKey },
  { name: "masquerade6", key: interfaceKey },
  { name: "unprotected4", key: interfaceKey },
  { name: "unprotected6", key: interfaceKey },
  // Where a network's packets leave the host under a chosen address.
  { name: "source4", key: interfaceKey, value: concatenate("ipv4Address") },
  { name: "source6", key: interfaceKey, value: concatenate("ipv6Address") },
  // From which interface of the host a bridge's published ports are reached by the containers' own addresses.
  { name: "trusted", key: pairKey },
  // Networks without NAT: who knows the way reaches the open ports below, and may ping.
  { name: "routed4", key: interfaceKey },
  { name: "routed6", key: interfaceKey },
  { name: "open4", key: concatenate("ipv4Address", "protocol", "port") },
  { name: "open6", key: concatenate("ipv6Address", "protocol", "port") },
  // Address families in which this host forwards only because of us: not for strangers.
  { name: "closed", key: concatenate("family") },
  // A bridge paired with itself: its containers may talk to each other.
  { name: "connected", key: pairKey },
  // Who cannot be answered directly when a published port leads him into a bridge: its own subnet, and the loopback.
  { name: "hairpin4", key: concatenate("interface", "ipv4Address"), hasRanges: true },
  { name: "hairpin6", key: concatenate("interface", "ipv6Address"), hasRanges: true },
  { name: "ports4", key: concatenate("ipv4Address", "protocol", "port"), value: target4 },
  { name: "ports6", key: concatenate("ipv6Address", "protocol", "port"), value: target6 },
  // Who of an isolated bridge's containers reaches which port of another: source, destination, and its port.
  { name: "linked4", key: concatenate("ipv4Address", "ipv4Address", "protocol", "port") },
  // Ports of 127.0.0.0/8: for this machine alone.
  { name: "loopback4", key: concatenate("ipv4Address", "protocol", "port") },
  { name: "any4", key: concatenate("protocol", "port"), value: target4 },
  { name: "any6", key: concatenate("protocol", "port"), value: target6 },
];

export const chains: readonly Chain[] = [
  { name: "publish" },
  { name: "strangers" },
  { name: "raw-prerouting", base: { type: "filter", hook: "prerouting", priority: -300 } },
  { name: "nat-prerouting", base: { type: "nat", hook: "prerouting", priority: -100 } },
  { name: "nat-output", base: { type: "nat", hook: "output", priority: -100 } },
  { name: "nat-postrouting", base: { type: "nat", hook: "postrouting", priority: 100 } },
  { name: "filter-forward", base: { type: "filter", hook: "forward", priority: 0 } },
];

const R1 = nft.registers.first;
const word = nft.registers.word;
const LOOPBACK4 = Uint8Array.of(127);
const LOOPBACK6 = addressBytes({ family: 6, value: 1n });
const IPS_DST_NAT = 0x20;
const ESTABLISHED_OR_RELATED = 0x2 | 0x4;

const isIpv4 = [nft.loadMeta("nfproto", R1), nft.equals(R1, Uint8Array.of(nft.NFPROTO_IPV4))];
const isIpv6 = [nft.loadMeta("nfproto", R1), nft.equals(R1, Uint8Array.of(nft.NFPROTO_IPV6))];
const comesFrom = (set: string) => [nft.loadMeta("iifname", R1), nft.lookup({ set, register: R1 })];
const leavesTo = (set: string) => [nft.loadMeta("oifname", R1), nft.lookup({ set, register: R1 })];
const leavesElsewhere = [nft.loadMeta("oifname", R1), nft.lookup({ set: "bridges", register: R1, isInverted: true })];
const findsSource = (set: string) => [nft.loadMeta("iifname", R1), nft.lookup({ set, register: R1, into: R1 })];
const staysIn = (set: string) => [
  nft.loadMeta("iifname", R1),
  nft.loadMeta("oifname", word(4)),
  nft.lookup({ set, register: R1 }),
];
const hairpins = (set: string, loadSource: (register: number) => nft.Expression) => [
  nft.loadMeta("oifname", R1),
  loadSource(word(4)),
  nft.lookup({ set, register: R1 }),
];
const goesToLoopback4 = [...isIpv4, nft.loadDestinationAddress4(R1, 1), nft.equals(R1, LOOPBACK4)];
const goesToLoopback6 = [...isIpv6, nft.loadDestinationAddress6(R1), nft.equals(R1, LOOPBACK6)];
const isPublished = [nft.loadConntrack("status", R1), nft.hasAnyBit(R1, IPS_DST_NAT)];
const belongsToKnown = [nft.loadConntrack("state", R1), nft.hasAnyBit(R1, ESTABLISHED_OR_RELATED)];

const lookUpPort4 = [
  ...isIpv4,
  nft.loadDestinationAddress4(word(0)),
  nft.loadMeta("l4proto", word(1)),
  nft.loadDestinationPort(word(2)),
  nft.lookup({ set: "ports4", register: R1, into: R1 }),
];
const lookUpPort6 = [
  ...isIpv6,
  nft.loadDestinationAddress6(word(0)),
  nft.loadMeta("l4proto", word(4)),
  nft.loadDestinationPort(word(5)),
  nft.lookup({ set: "ports6", register: R1, into: R1 }),
];
const lookUpAnyPort = (set: string) => [
  nft.loadMeta("l4proto", word(0)),
  nft.loadDestinationPort(word(1)),
  nft.lookup({ set, register: R1, into: R1 }),
];
const isOpen4 = [
  nft.loadDestinationAddress4(word(0)),
  nft.loadMeta("l4proto", word(1)),
  nft.loadDestinationPort(word(2)),
  nft.lookup({ set: "open4", register: R1 }),
];
const isOpen6 = [
  nft.loadDestinationAddress6(word(0)),
  nft.loadMeta("l4proto", word(4)),
  nft.loadDestinationPort(word(5)),
  nft.lookup({ set: "open6", register: R1 }),
];
const isLinked4 = [
  nft.loadSourceAddress4(word(0)),
  nft.loadDestinationAddress4(word(1)),
  nft.loadMeta("l4proto", word(2)),
  nft.loadDestinationPort(word(3)),
  nft.lookup({ set: "linked4", register: R1 }),
];
const isOpen = (family: Family) => (family === 4 ? [...isIpv4, ...isOpen4] : [...isIpv6, ...isOpen6]);
const isPing = (protocol: number) => [nft.loadMeta("l4proto", R1), nft.equals(R1, Uint8Array.of(protocol))];
const [ICMP, ICMP6] = [1, 58];
const isLoopbackPort = [
  nft.loadDestinationAddress4(word(0)),
  nft.loadMeta("l4proto", word(1)),
  nft.loadDestinationPort(word(2)),
  nft.lookup({ set: "loopback4", register: R1 }),
];
const toContainer4 = nft.dnat(nft.NFPROTO_IPV4, word(0), word(1));
const toContainer6 = nft.dnat(nft.NFPROTO_IPV6, word(0), word(4));

/** Whose traffic another engine or a VPN beside us answers for. */
export const virtualKinds: readonly string[] = ["bridge", "tun", "wireguard"];

type Rule = readonly [chain: string, expressions: readonly nft.Expression[]];

export function makeRules({
  families,
  arePortsForOtherNetworks,
  isDirectRoutingAllowed,
}: FirewallPolicy): readonly Rule[] {
  const foreign = ([4, 6] as const).filter((family) => !families.includes(family));
  const bases = chains.filter(({ base }) => base !== undefined);
  const publishedPorts: Rule = ["filter-forward", [...leavesTo("bridges"), ...isPublished, nft.accept]];
  const direct = isDirectRoutingAllowed ? leavesTo("bridges") : staysIn("trusted");
  return [
    ...foreign.flatMap((family) =>
      bases.map(({ name }): Rule => [name, [...(family === 4 ? isIpv4 : isIpv6), nft.accept]]),
    ),
    ...beforeForwarding,
    ...known,
    ...(arePortsForOtherNetworks ? [publishedPorts] : []),
    ...routed,
    // Networks do not meet, whatever their modes.
    ["filter-forward", [...comesFrom("bridges"), ...leavesTo("bridges"), nft.drop]],
    ...(arePortsForOtherNetworks ? [] : [publishedPorts]),
    ["filter-forward", [...direct, ...isOpen(4), nft.accept]],
    ["filter-forward", [...direct, ...isOpen(6), nft.accept]],
    ...rest,
  ];
}

const beforeForwarding: readonly Rule[] = [
  // route_localnet is on for our bridges: what it would let in from a container or a neighbour is stopped here.
  ["raw-prerouting", [...comesFrom("bridges"), ...goesToLoopback4, nft.drop]],
  [
    "raw-prerouting",
    [
      nft.loadMeta("iifname", R1),
      nft.differs(R1, interfaceName("lo")),
      ...goesToLoopback4,
      ...isLoopbackPort,
      nft.drop,
    ],
  ],
  ["nat-prerouting", [nft.isLocalDestination(R1), nft.jump("publish")]],
  ["nat-output", [nft.isLocalDestination(R1), nft.jump("publish")]],
  // With br_netfilter what is sent on within a bridge does not leave it, and isolated ports do not meet: the relay connects them.
  ["publish", [...comesFrom("isolated"), nft.giveBack]],
  ["publish", [...goesToLoopback6, nft.giveBack]],
  ["publish", [...lookUpPort4, toContainer4]],
  ["publish", [...lookUpPort6, toContainer6]],
  ["publish", [...isIpv4, ...lookUpAnyPort("any4"), toContainer4]],
  ["publish", [...isIpv6, ...lookUpAnyPort("any6"), toContainer6]],
];

const known: readonly Rule[] = [
  ["filter-forward", [...staysIn("connected"), nft.accept]],
  ["filter-forward", [...comesFrom("internal"), nft.drop]],
  ["filter-forward", [...leavesTo("internal"), nft.drop]],
  ["filter-forward", [...belongsToKnown, nft.accept]],
  ["filter-forward", [...isIpv4, ...comesFrom("isolated"), ...leavesTo("isolated"), ...isLinked4, nft.accept]],
];

const routed: readonly Rule[] = [
  ["filter-forward", [...isIpv4, ...leavesTo("routed4"), ...isPing(ICMP), nft.accept]],
  ["filter-forward", [...isIpv6, ...leavesTo("routed6"), ...isPing(ICMP6), nft.accept]],
  ["filter-forward", [...leavesTo("routed4"), ...isOpen(4), nft.accept]],
  ["filter-forward", [...leavesTo("routed6"), ...isOpen(6), nft.accept]],
];

const rest: readonly Rule[] = [
  ["filter-forward", [...isIpv4, ...leavesTo("unprotected4"), nft.accept]],
  ["filter-forward", [...isIpv6, ...leavesTo("unprotected6"), nft.accept]],
  ["filter-forward", [...leavesTo("bridges"), nft.drop]],
  ["filter-forward", [nft.loadMeta("nfproto", R1), nft.lookup({ set: "closed", register: R1 }), nft.jump("strangers")]],
  // A device of hardware has no kind, so these rules pass it by.
  ...virtualKinds.flatMap((kind) =>
    (["iifkind", "oifkind"] as const).map(
      (key) => ["strangers", [nft.loadMeta(key, R1), nft.equals(R1, interfaceName(kind)), nft.giveBack]] as const,
    ),
  ),
  ["strangers", [nft.drop]],
  // From 127.0.0.1, or from a neighbour who asked by the host's address: the answer has to come back through the host. By
  // address, since with br_netfilter a packet that stays on its bridge has no incoming interface any more.
  ["nat-postrouting", [...isPublished, ...isIpv4, ...hairpins("hairpin4", nft.loadSourceAddress4), nft.masquerade]],
  ["nat-postrouting", [...isPublished, ...isIpv6, ...hairpins("hairpin6", nft.loadSourceAddress6), nft.masquerade]],
  ["nat-postrouting", [...isIpv4, ...leavesElsewhere, ...findsSource("source4"), nft.snat(nft.NFPROTO_IPV4, R1)]],
  ["nat-postrouting", [...isIpv6, ...leavesElsewhere, ...findsSource("source6"), nft.snat(nft.NFPROTO_IPV6, R1)]],
  ["nat-postrouting", [...isIpv4, ...comesFrom("masquerade4"), ...leavesElsewhere, nft.masquerade]],
  ["nat-postrouting", [...isIpv6, ...comesFrom("masquerade6"), ...leavesElsewhere, nft.masquerade]],
];

/** A name in the kernel's form: 16 bytes. */
export function interfaceName(name: string): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.write(name);
  return bytes;
}
