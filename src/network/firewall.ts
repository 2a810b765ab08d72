import { errnoOf } from "#base/errors";
import type { Log } from "#base/log";
import { type Address, addressBytes, isLoopback, isUnspecified, lastOf, type Prefix } from "./address.ts";
import * as nft from "./netlink/nft-expressions.ts";
import { type Chain, concatenate, type Element, NftBatch, NftSocket, type SetDefinition } from "./netlink/nftables.ts";

/**
 * One nftables table of our own. Its rules never change while the daemon runs: networks and published ports are elements
 * of its sets and maps, so a container's start is one small transaction that costs the same whether three ports are
 * published or three thousand, and a packet is matched by hashing, not by walking.
 * `nft list table inet <name>` prints what the rules say.
 */
export interface FirewallNetwork {
  readonly bridge: string;
  /** Nothing is forwarded into or out of it. */
  readonly isInternal: boolean;
  readonly areContainersConnected: boolean;
  readonly isMasqueraded4: boolean;
  readonly isMasqueraded6: boolean;
  readonly subnets: readonly Prefix[];
}

export type Protocol = "tcp" | "udp" | "sctp";
const protocolNumbers: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** Traffic to `host` (unspecified: any address of this machine) goes to the container. Both are of one family. */
export interface PortForward {
  readonly protocol: Protocol;
  readonly host: Address;
  readonly hostPort: number;
  readonly container: Address;
  readonly containerPort: number;
}

const interfaceKey = concatenate("interface");
const pairKey = concatenate("interface", "interface");
const target4 = concatenate("ipv4Address", "port");
const target6 = concatenate("ipv6Address", "port");

const sets: readonly SetDefinition[] = [
  { name: "bridges", key: interfaceKey },
  { name: "internal", key: interfaceKey },
  { name: "masquerade4", key: interfaceKey },
  { name: "masquerade6", key: interfaceKey },
  // A bridge paired with itself: its containers may talk to each other.
  { name: "connected", key: pairKey },
  // Who cannot be answered directly when a published port leads him into a bridge: its own subnet, and the loopback.
  { name: "hairpin4", key: concatenate("interface", "ipv4Address"), hasRanges: true },
  { name: "hairpin6", key: concatenate("interface", "ipv6Address"), hasRanges: true },
  { name: "ports4", key: concatenate("ipv4Address", "protocol", "port"), value: target4 },
  { name: "ports6", key: concatenate("ipv6Address", "protocol", "port"), value: target6 },
  // Ports of 127.0.0.0/8: for this machine alone.
  { name: "loopback4", key: concatenate("ipv4Address", "protocol", "port") },
  { name: "any4", key: concatenate("protocol", "port"), value: target4 },
  { name: "any6", key: concatenate("protocol", "port"), value: target6 },
];

const chains: readonly Chain[] = [
  { name: "publish" },
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
const isLoopbackPort = [
  nft.loadDestinationAddress4(word(0)),
  nft.loadMeta("l4proto", word(1)),
  nft.loadDestinationPort(word(2)),
  nft.lookup({ set: "loopback4", register: R1 }),
];
const toContainer4 = nft.dnat(nft.NFPROTO_IPV4, word(0), word(1));
const toContainer6 = nft.dnat(nft.NFPROTO_IPV6, word(0), word(4));

const rules: readonly (readonly [chain: string, expressions: readonly nft.Expression[]])[] = [
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
  ["publish", [...comesFrom("internal"), nft.giveBack]],
  ["publish", [...goesToLoopback6, nft.giveBack]],
  ["publish", [...lookUpPort4, toContainer4]],
  ["publish", [...lookUpPort6, toContainer6]],
  ["publish", [...isIpv4, ...lookUpAnyPort("any4"), toContainer4]],
  ["publish", [...isIpv6, ...lookUpAnyPort("any6"), toContainer6]],
  ["filter-forward", [...staysIn("connected"), nft.accept]],
  ["filter-forward", [...comesFrom("internal"), nft.drop]],
  ["filter-forward", [...leavesTo("internal"), nft.drop]],
  ["filter-forward", [...belongsToKnown, nft.accept]],
  ["filter-forward", [...leavesTo("bridges"), ...isPublished, nft.accept]],
  ["filter-forward", [...leavesTo("bridges"), nft.drop]],
  // From 127.0.0.1, or from a neighbour who asked by the host's address: the answer has to come back through the host. By
  // address, since with br_netfilter a packet that stays on its bridge has no incoming interface any more.
  ["nat-postrouting", [...isPublished, ...isIpv4, ...hairpins("hairpin4", nft.loadSourceAddress4), nft.masquerade]],
  ["nat-postrouting", [...isPublished, ...isIpv6, ...hairpins("hairpin6", nft.loadSourceAddress6), nft.masquerade]],
  ["nat-postrouting", [...isIpv4, ...comesFrom("masquerade4"), ...leavesElsewhere, nft.masquerade]],
  ["nat-postrouting", [...isIpv6, ...comesFrom("masquerade6"), ...leavesElsewhere, nft.masquerade]],
];

type Change = ReadonlyMap<string, readonly Element[]>;

export class Firewall implements Disposable {
  readonly #table: string;
  readonly #socket = new NftSocket();
  readonly #log: Log;
  readonly #networks = new Map<string, FirewallNetwork>();
  readonly #forwards = new Map<string, PortForward>();
  /** The ruleset's generation as our own transactions leave it: another value means that somebody else was here. */
  #generation = 0;
  #isInstalled = false;

  constructor(table: string, log: Log) {
    this.#table = table;
    this.#log = log;
  }

  /** Puts the table there as it should be, whatever is there now, in one transaction. */
  install(): void {
    const batch = new NftBatch(this.#table).resetTable();
    sets.forEach((set, i) => {
      batch.addSet(set, i + 1);
    });
    for (const chain of chains) batch.addChain(chain);
    for (const [chain, expressions] of rules) batch.addRule(chain, expressions);
    for (const network of this.#networks.values()) addAll(batch, networkElements(network));
    addAll(batch, forwardElements([...this.#forwards.values()]));
    this.#socket.commit(batch, `install table ${this.#table}`);
    this.#isInstalled = true;
    this.#generation = this.#socket.generation();
  }

  addNetwork(network: FirewallNetwork): void {
    this.#networks.set(network.bridge, network);
    this.#change((batch) => addAll(batch, networkElements(network)));
  }

  removeNetwork(bridge: string): void {
    const network = this.#networks.get(bridge);
    if (network === undefined) return;
    this.#networks.delete(bridge);
    this.#change((batch) => removeAll(batch, networkElements(network)));
  }

  addForwards(forwards: readonly PortForward[]): void {
    if (forwards.length === 0) return;
    for (const forward of forwards) this.#forwards.set(keyOf(forward), forward);
    this.#change((batch) => addAll(batch, forwardElements(forwards)));
  }

  removeForwards(forwards: readonly PortForward[]): void {
    const known = forwards.filter((forward) => this.#forwards.delete(keyOf(forward)));
    if (known.length > 0) this.#change((batch) => removeAll(batch, forwardElements(known)));
  }

  /** Looks whether somebody flushed our rules, and puts them back. A few microseconds when nobody touched nf_tables. */
  verify(): void {
    if (!this.#isInstalled) return;
    const generation = this.#socket.generation();
    if (generation === this.#generation) return;
    this.#generation = generation;
    if (this.#isWhole()) return;
    this.#log.warn({ table: this.#table }, "nftables rules were gone and are put back");
    this.install();
  }

  uninstall(): void {
    this.#isInstalled = false;
    try {
      this.#socket.commit(new NftBatch(this.#table).deleteTable(), `delete table ${this.#table}`);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #isWhole(): boolean {
    try {
      return (
        this.#socket.countRules(this.#table) === rules.length &&
        this.#socket.countElements(this.#table, "bridges") === this.#networks.size
      );
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return false;
      throw error;
    }
  }

  /** One transaction. When it meets a table that is gone or was emptied, the whole table is made again. */
  #change(fill: (batch: NftBatch) => void): void {
    if (!this.#isInstalled) return;
    const batch = new NftBatch(this.#table);
    fill(batch);
    if (batch.isEmpty) return;
    try {
      this.#socket.commit(batch, `change table ${this.#table}`);
      this.#generation += 1;
    } catch (error) {
      if (errnoOf(error) !== "ENOENT" && errnoOf(error) !== "EEXIST") throw error;
      this.#log.warn({ table: this.#table, err: error }, "nftables rules were changed by others and are made again");
      this.install();
    }
  }
}

function addAll(batch: NftBatch, change: Change): void {
  for (const [set, elements] of change) batch.addElements(set, elements);
}

function removeAll(batch: NftBatch, change: Change): void {
  for (const [set, elements] of change) batch.deleteElements(set, elements);
}

function networkElements(network: FirewallNetwork): Change {
  const name = { key: interfaceName(network.bridge) };
  const pair = { key: Buffer.concat([name.key, name.key]) };
  const change = new Map<string, readonly Element[]>([["bridges", [name]]]);
  const ranges = network.isInternal ? [] : [...network.subnets, loopback4];
  for (const family of [4, 6] as const) {
    const elements = ranges.filter((range) => range.family === family).map((range) => rangeElement(name.key, range));
    if (elements.length > 0) change.set(`hairpin${family}`, elements);
  }
  if (network.areContainersConnected) change.set("connected", [pair]);
  if (network.isInternal) change.set("internal", [name]);
  if (network.isMasqueraded4) change.set("masquerade4", [name]);
  if (network.isMasqueraded6) change.set("masquerade6", [name]);
  return change;
}

/** IPv6 has nothing like route_localnet: what comes from ::1 is for the forwarder. */
const loopback4: Prefix = { family: 4, base: 127n << 24n, length: 8 };

function rangeElement(interfaceKeyPart: Uint8Array, prefix: Prefix): Element {
  const { family } = prefix;
  const bound = (value: bigint) => Buffer.concat([interfaceKeyPart, addressBytes({ family, value })]);
  return { key: bound(prefix.base), keyEnd: bound(lastOf(prefix)) };
}

function forwardElements(forwards: readonly PortForward[]): Change {
  const change = new Map<string, Element[]>();
  const put = (set: string, element: Element) => {
    const elements = change.get(set);
    if (elements === undefined) change.set(set, [element]);
    else elements.push(element);
  };
  for (const forward of forwards) {
    const isAny = isUnspecified(forward.host);
    const service = Buffer.concat([protocolField(forward.protocol), portField(forward.hostPort)]);
    const key = isAny ? service : Buffer.concat([addressBytes(forward.host), service]);
    const value = Buffer.concat([addressBytes(forward.container), portField(forward.containerPort)]);
    if (forward.host.family === 4 && isLoopback(forward.host)) put("loopback4", { key });
    put(`${isAny ? "any" : "ports"}${forward.container.family}`, { key, value });
  }
  return change;
}

function interfaceName(name: string): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.write(name);
  return bytes;
}

const protocolField = (protocol: Protocol): Uint8Array => Uint8Array.of(protocolNumbers[protocol], 0, 0, 0);
const portField = (port: number): Uint8Array => Uint8Array.of(port >> 8, port & 0xff, 0, 0);
const keyOf = ({ protocol, host, hostPort }: PortForward): string =>
  `${protocol} ${host.family} ${host.value} ${hostPort}`;
