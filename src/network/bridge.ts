import { EngineError, errnoOf } from "#base/errors";
import type { Address, Prefix } from "./address.ts";
import { contains } from "./address.ts";
import { virtualKinds } from "./firewall-rules.ts";
import { tryWriteSysctl, writeSysctl } from "./namespaces.ts";
import { type InterfaceAddress, RouteBatch, RouteSocket } from "./netlink/route.ts";
import { randomMac } from "./plug.ts";

export interface BridgeSetup {
  readonly name: string;
  readonly mtu: number | undefined;
  /** The gateways' addresses; none for a network that the host has no part in. */
  readonly addresses: readonly { readonly address: Address; readonly prefix: Prefix }[];
  readonly isIpv6Enabled: boolean;
  /** Connections from 127.0.0.1 to published ports leave by this bridge. */
  readonly isReachedFromLoopback: boolean;
  /** Its ports do not meet: the host answers for all addresses, so that what is for a linked container passes the firewall. */
  readonly isIsolated: boolean;
}

/** The bridge interfaces of our networks, in the host's namespace. */
export class Bridges implements Disposable {
  readonly #route = new RouteSocket();
  readonly #tag: string;

  /** The tag (ifalias) marks the bridges that we made: unique per daemon on this host. */
  constructor(tag: string) {
    this.#tag = tag;
  }

  exists(name: string): boolean {
    return this.#route.findLink(name) !== undefined;
  }

  /** There, and made by somebody else. */
  isForeign(name: string): boolean {
    const link = this.#route.findLink(name);
    return link !== undefined && link.alias !== this.#tag;
  }

  /** The names of the bridges that we made. */
  listOwn(): string[] {
    const own = this.#route.listLinks().filter(({ kind, alias }) => kind === "bridge" && alias === this.#tag);
    return own.map(({ name }) => name);
  }

  /** Makes the bridge or brings one that is there into shape; another's addresses and ports on it are left alone. */
  ensure(setup: BridgeSetup): void {
    const found = this.#route.findLink(setup.name);
    const isNew = found === undefined;
    if (!isNew && found.kind !== "bridge") {
      throw new EngineError("system", `existing interface ${setup.name} is not a bridge`);
    }
    if (isNew)
      this.#route.apply(new RouteBatch().addBridge(setup.name, randomMac(), this.#tag), `add bridge ${setup.name}`);
    const { index } = this.#route.getLink(setup.name);
    if (isNew) tryWriteSysctl(`net/ipv6/conf/${setup.name}/accept_ra`, "0");
    if (setup.isIpv6Enabled) writeSysctl(`net/ipv6/conf/${setup.name}/disable_ipv6`, "0");
    const isForeign = this.isForeign(setup.name);
    // Another daemon's containers may be on it, and reached so.
    if (setup.isReachedFromLoopback || !isForeign)
      writeSysctl(`net/ipv4/conf/${setup.name}/route_localnet`, setup.isReachedFromLoopback ? "1" : "0");
    writeSysctl(`net/ipv4/conf/${setup.name}/proxy_arp_pvlan`, setup.isIsolated ? "1" : "0");
    if (setup.isIsolated) writeSysctl(`net/ipv4/neigh/${setup.name}/proxy_delay`, "0");
    const batch = new RouteBatch();
    const present = this.#route.listAddresses(index);
    for (const stale of staleAddresses(present, setup, isForeign)) batch.deleteAddress(stale);
    for (const wanted of setup.addresses) {
      if (!present.some((own) => isKept(own, wanted))) batch.addAddress(index, wanted.address, wanted.prefix);
    }
    const mtu = setup.mtu === undefined ? {} : { mtu: setup.mtu };
    this.#route.apply(batch.setLink({ index }, { isUp: true, ...mtu }), `set up bridge ${setup.name}`);
  }

  /** Deletes the interface, and with it its addresses and routes. Idempotent. */
  async remove(name: string): Promise<void> {
    try {
      await RouteSocket.deleteLink(name);
    } catch (error) {
      // ERANGE: it could not be made for its long name, either.
      if (errnoOf(error) !== "ENODEV" && errnoOf(error) !== "ERANGE") throw error;
    }
  }

  /** Bridges and tunnels of others: whose they are may need a host that forwards. */
  hasStrangers(): boolean {
    return this.#route.listLinks().some(({ kind, alias }) => virtualKinds.includes(kind) && alias !== this.#tag);
  }

  /** None of an interface that is not there. */
  addresses(name: string): InterfaceAddress[] {
    const link = this.#route.findLink(name);
    return link === undefined ? [] : this.#route.listAddresses(link.index);
  }

  /** What the host is connected to. */
  onLinkPrefixes(): Prefix[] {
    return this.#route.listOnLinkPrefixes();
  }

  [Symbol.dispose](): void {
    this.#route[Symbol.dispose]();
  }
}

type Wanted = BridgeSetup["addresses"][number];

/**
 * The same address. An IPv6 one whose prefix has another length now stays as it is, as in dockerd: to put it there anew would
 * break what uses it.
 */
const isKept = ({ address, length }: InterfaceAddress, wanted: Wanted): boolean =>
  address.family === wanted.address.family &&
  address.value === wanted.address.value &&
  (address.family === 6 || length === wanted.prefix.length);

/** What an earlier life of this network left. Of IPv4, and on somebody else's bridge, only what is in our way. */
function staleAddresses(
  present: readonly InterfaceAddress[],
  { addresses, isIpv6Enabled }: BridgeSetup,
  isForeign: boolean,
): InterfaceAddress[] {
  return present.filter((own) => {
    if (addresses.some((wanted) => isKept(own, wanted)) || contains(linkLocal6, own.address)) return false;
    const isAllOurs = own.address.family === 6 && isIpv6Enabled && !isForeign;
    return isAllOurs || addresses.some(({ prefix }) => contains(prefix, own.address));
  });
}

const linkLocal6: Prefix = { family: 6, base: 0xfe80n << 112n, length: 64 };
