import { errnoOf } from "#base/errors";
import type { Log } from "#base/log";
import { type Address, addressBytes, type Family, isLoopback, isUnspecified, lastOf, type Prefix } from "./address.ts";
import { chains, type FirewallPolicy, interfaceName, makeRules, sets } from "./firewall-rules.ts";
import { ForwardPolicy } from "./forward-policy.ts";
import { NFPROTO_IPV4, NFPROTO_IPV6 } from "./netlink/nft-expressions.ts";
import { type Element, NftBatch, NftSocket } from "./netlink/nftables.ts";

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
  /** Reached from elsewhere by the containers' own addresses: every port, or those that are published. */
  readonly access4: Access;
  readonly access6: Access;
  readonly subnets: readonly Prefix[];
  /** Instead of the address of the interface by which its packets leave. */
  readonly sourceAddresses: readonly Address[];
  /** Interfaces of the host from which published ports are reached by the containers' own addresses. */
  readonly trustedInterfaces: readonly string[];
}

/** moby's gateway modes, as far as a packet from elsewhere sees them. */
export type Access = "published" | "routed" | "unprotected";

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

/** A container's port, by its own address. */
export type PortTarget = Pick<PortForward, "protocol" | "container" | "containerPort">;

/** On an isolated bridge: what `from` reaches all the same. IPv4 only, as in dockerd. */
export interface PortLink extends PortTarget {
  readonly from: Address;
}

type Change = ReadonlyMap<string, readonly Element[]>;

export class Firewall implements Disposable {
  readonly #table: string;
  /** Undefined: there is no table at all, nobody wants one. */
  readonly #rules: ReturnType<typeof makeRules> | undefined;
  readonly #socket = new NftSocket();
  readonly #forwardPolicy: ForwardPolicy;
  readonly #log: Log;
  readonly #networks = new Map<string, FirewallNetwork>();
  readonly #forwards = new Map<string, PortForward>();
  readonly #open = new Map<string, PortTarget>();
  #links: ReadonlyMap<string, PortLink> = new Map();
  readonly #closed = new Set<Family>();
  /** The ruleset's generation as our own transactions leave it: another value means that somebody else was here. */
  #generation = 0;
  #isInstalled = false;

  constructor(table: string, policy: FirewallPolicy, log: Log) {
    this.#table = table;
    this.#forwardPolicy = new ForwardPolicy(table, policy.families);
    this.#rules = policy.families.length === 0 ? undefined : makeRules(policy);
    this.#log = log;
  }

  /** Puts the table there as it should be, whatever is there now, in one transaction. */
  install(): void {
    if (this.#rules === undefined) {
      this.uninstall();
      return;
    }
    const batch = new NftBatch(this.#table).resetTable();
    sets.forEach((set, i) => {
      batch.addSet(set, i + 1);
    });
    for (const chain of chains) batch.addChain(chain);
    for (const [chain, expressions] of this.#rules) batch.addRule(chain, expressions);
    for (const network of this.#networks.values()) addAll(batch, networkElements(network));
    addAll(batch, forwardElements([...this.#forwards.values()]));
    addAll(batch, targetElements([...this.#open.values()]));
    addAll(batch, linkElements(this.#links.values()));
    addAll(batch, familyElements([...this.#closed]));
    this.#socket.commit(batch, `install table ${this.#table}`);
    this.#isInstalled = true;
    this.#passForward();
    this.#generation = this.#socket.generation();
  }

  addNetwork(network: FirewallNetwork): void {
    this.#networks.set(network.bridge, network);
    this.#change((batch) => addAll(batch, networkElements(network)));
    this.#passForward();
  }

  removeNetwork(bridge: string): void {
    const network = this.#networks.get(bridge);
    if (network === undefined) return;
    this.#networks.delete(bridge);
    this.#change((batch) => removeAll(batch, networkElements(network)));
    this.#passForward();
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

  /** For networks without NAT: others reach these ports by the container's own address. */
  openTargets(targets: readonly PortTarget[]): void {
    if (targets.length === 0) return;
    for (const target of targets) this.#open.set(targetKey(target), target);
    this.#change((batch) => addAll(batch, targetElements(targets)));
  }

  closeTargets(targets: readonly PortTarget[]): void {
    const known = targets.filter((target) => this.#open.delete(targetKey(target)));
    if (known.length > 0) this.#change((batch) => removeAll(batch, targetElements(known)));
  }

  /** These, and none of those before. */
  setLinks(wanted: readonly PortLink[]): void {
    const before = this.#links;
    const links = new Map(wanted.map((link) => [linkKey(link), link]));
    const lost = [...before].filter(([key]) => !links.has(key)).map(([, link]) => link);
    const fresh = [...links].filter(([key]) => !before.has(key)).map(([, link]) => link);
    if (lost.length + fresh.length === 0) return;
    this.#links = links;
    this.#change((batch) => {
      removeAll(batch, linkElements(lost));
      addAll(batch, linkElements(fresh));
    });
  }

  /** The host forwards in this family because of us: strangers do not pass, unless another engine's device or a VPN is involved. */
  closeToStrangers(family: Family): void {
    this.#closed.add(family);
    this.#change((batch) => addAll(batch, familyElements([family])));
  }

  /** Looks whether somebody flushed our rules, and puts them back. A few microseconds when nobody touched nf_tables. */
  verify(): void {
    if (!this.#isInstalled) return;
    const generation = this.#socket.generation();
    if (generation === this.#generation) return;
    this.#generation = generation;
    if (this.#isWhole()) {
      this.#passForward();
      return;
    }
    this.#log.warn({ table: this.#table }, "nftables rules were gone and are put back");
    this.install();
  }

  uninstall(): void {
    this.#isInstalled = false;
    this.#forwardPolicy.ensure([]);
    try {
      this.#socket.commit(new NftBatch(this.#table).deleteTable(), `delete table ${this.#table}`);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#forwardPolicy[Symbol.dispose]();
    this.#socket[Symbol.dispose]();
  }

  #passForward(): void {
    if (this.#isInstalled) this.#generation += this.#forwardPolicy.ensure([...this.#networks.keys()]);
  }

  #isWhole(): boolean {
    try {
      return (
        this.#socket.countRules(this.#table) === this.#rules?.length &&
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
  for (const [set, elements] of change) if (elements.length > 0) batch.addElements(set, elements);
}

function removeAll(batch: NftBatch, change: Change): void {
  for (const [set, elements] of change) if (elements.length > 0) batch.deleteElements(set, elements);
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
  else change.set("isolated", [name]);
  if (network.isInternal) change.set("internal", [name]);
  if (network.isMasqueraded4) change.set("masquerade4", [name]);
  if (network.isMasqueraded6) change.set("masquerade6", [name]);
  for (const family of [4, 6] as const) {
    const access = family === 4 ? network.access4 : network.access6;
    if (access !== "published") change.set(`${access}${family}`, [name]);
  }
  for (const address of network.sourceAddresses) {
    change.set(`source${address.family}`, [{ ...name, value: addressBytes(address) }]);
  }
  const trusted = network.trustedInterfaces.map((trustedName) => Buffer.concat([interfaceName(trustedName), name.key]));
  change.set(
    "trusted",
    trusted.map((key) => ({ key })),
  );
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

function targetElements(targets: readonly PortTarget[]): Change {
  const elementsOf = (family: Family): Element[] => {
    const own = targets.filter(({ container }) => container.family === family);
    const keys = own.map(({ protocol, container, containerPort }) =>
      Buffer.concat([addressBytes(container), protocolField(protocol), portField(containerPort)]),
    );
    return keys.map((key) => ({ key }));
  };
  return new Map([4 as const, 6 as const].map((family) => [`open${family}`, elementsOf(family)]));
}

function linkElements(links: Iterable<PortLink>): Change {
  const keys = Array.from(links, ({ from, protocol, container, containerPort }) =>
    Buffer.concat([addressBytes(from), addressBytes(container), protocolField(protocol), portField(containerPort)]),
  );
  return new Map([["linked4", keys.map((key) => ({ key }))]]);
}

const protocolField = (protocol: Protocol): Uint8Array => Uint8Array.of(protocolNumbers[protocol], 0, 0, 0);
const portField = (port: number): Uint8Array => Uint8Array.of(port >> 8, port & 0xff, 0, 0);
const familyElements = (families: readonly Family[]): Change =>
  new Map([["closed", families.map((family) => ({ key: Uint8Array.of(family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6) }))]]);

const targetKey = ({ protocol, container, containerPort }: PortTarget): string =>
  `${protocol} ${container.family} ${container.value} ${containerPort}`;
const linkKey = (link: PortLink): string => `${link.from.value} ${targetKey(link)}`;
const keyOf = ({ protocol, host, hostPort }: PortForward): string =>
  `${protocol} ${host.family} ${host.value} ${hostPort}`;
