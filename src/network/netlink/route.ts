import { errnoOf } from "#base/errors";
import { AF_INET, AF_INET6, NETLINK_ROUTE } from "#native";
import { type Address, addressBytes, addressFromBytes, type Family, type Prefix } from "../address.ts";
import {
  MessageWriter,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  readAttributes,
  readI32,
  readText,
  readU32,
  writeU32,
} from "./message.ts";
import { NetlinkSocket } from "./socket.ts";

/** rtnetlink(7): links, addresses and routes, as values that a batch takes. */
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_SETLINK = 19;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_PROTINFO = 12;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_NET_NS_FD = 28;
const IFLA_LINK_NETNSID = 37;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BRPORT_STATE = 1;
const BR_STATE_FORWARDING = 3;
const VETH_INFO_PEER = 1;
const IFLA_MACVLAN_MODE = 1;
const IFLA_IPVLAN_MODE = 1;
const IFLA_IPVLAN_FLAGS = 2;
const IFLA_VLAN_ID = 1;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_ISOLATED = 33;
const IFLA_BR_MCAST_SNOOPING = 23;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_F_NODAD = 0x02;
const IFA_F_PERMANENT = 0x80;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;
const RTN_UNICAST = 1;

const IFF_UP = 1;
const IFF_RUNNING = 0x40;
const AF_BRIDGE = 7;
const AF_UNSPEC = 0;

export type LinkRef = { readonly name: string } | { readonly index: number };

export interface LinkChange {
  readonly isUp?: boolean;
  readonly mac?: Uint8Array;
  readonly mtu?: number;
  readonly rename?: string;
  /** Index of the bridge that it becomes a port of; 0 for none. */
  readonly master?: number;
  readonly alias?: string;
}

export interface Link {
  readonly index: number;
  readonly name: string;
  /** Up, and its other end as well; a bridge's port forwards. */
  readonly isRunning: boolean;
  readonly alias: string;
  readonly kind: string;
  /** What it hangs from is in another namespace. */
  readonly isParentElsewhere: boolean;
  readonly master: number;
  readonly mtu: number;
  readonly mac: Uint8Array;
}

export interface InterfaceAddress {
  readonly index: number;
  readonly address: Address;
  readonly length: number;
}

/** Of a bridge's port. */
export interface PortMode {
  /** It may talk to the bridge and to ports that are not isolated, but to no other isolated one. */
  readonly isIsolated: boolean;
  /** What came in by it may leave by it. */
  readonly isHairpin: boolean;
}

export interface Veth {
  readonly name: string;
  readonly alias: string;
  readonly peer: { readonly name: string; readonly namespaceFd: number };
  readonly mtu?: number;
}

/** A macvlan or an ipvlan; modes and flags are the kernel's numbers. */
export interface Child {
  readonly kind: "macvlan" | "ipvlan";
  readonly name: string;
  readonly parentIndex: number;
  readonly namespaceFd: number;
  readonly mode: number;
  readonly flag?: number;
}

const kernelFamily = (family: Family): number => (family === 4 ? AF_INET : AF_INET6);

function linkHeader(index: number, isUp: boolean | undefined, family = AF_UNSPEC): Buffer {
  const header = Buffer.alloc(16);
  header[0] = family;
  writeU32(header, 4, index);
  writeU32(header, 8, isUp === true ? IFF_UP : 0);
  writeU32(header, 12, isUp === undefined ? 0 : IFF_UP);
  return header;
}

function writeLinkChange(writer: MessageWriter, change: LinkChange): void {
  if (change.mac !== undefined) writer.bytes(IFLA_ADDRESS, change.mac);
  if (change.mtu !== undefined) writer.u32(IFLA_MTU, change.mtu);
  if (change.rename !== undefined) writer.text(IFLA_IFNAME, change.rename);
  if (change.master !== undefined) writer.u32(IFLA_MASTER, change.master);
  if (change.alias !== undefined) writer.text(IFLA_IFALIAS, change.alias);
}

/** A batch of changes for one namespace, sent in one system call. */
export class RouteBatch {
  readonly writer = new MessageWriter();

  setLink(link: LinkRef, change: LinkChange): this {
    const index = "index" in link ? link.index : 0;
    this.writer.begin(RTM_NEWLINK, NLM_F_ACK, linkHeader(index, change.isUp));
    if ("name" in link) this.writer.text(IFLA_IFNAME, link.name);
    writeLinkChange(this.writer, change);
    return this;
  }

  /** The alias goes in a message of its own: the kernel ignores it in the one that makes the link (rtnl_create_link). */
  addBridge(name: string, mac: Uint8Array, alias: string): this {
    this.writer
      .begin(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, linkHeader(0, undefined))
      .text(IFLA_IFNAME, name)
      .bytes(IFLA_ADDRESS, mac)
      .nest(IFLA_LINKINFO, (info) =>
        info.text(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, (data) => data.u8(IFLA_BR_MCAST_SNOOPING, 1)),
      );
    return this.setLink({ name }, { alias });
  }

  /** The peer is born in the other namespace: nothing is moved, and it never shows on the host. */
  addVeth(veth: Veth): this {
    const mtu = (writer: MessageWriter) => (veth.mtu === undefined ? writer : writer.u32(IFLA_MTU, veth.mtu));
    const writer = this.writer
      .begin(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, linkHeader(0, undefined))
      .text(IFLA_IFNAME, veth.name);
    mtu(writer).nest(IFLA_LINKINFO, (info) =>
      info.text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, (data) =>
        data.nestAfter(VETH_INFO_PEER, linkHeader(0, undefined), (peer) => {
          mtu(peer.text(IFLA_IFNAME, veth.peer.name)).u32(IFLA_NET_NS_FD, veth.peer.namespaceFd);
        }),
      ),
    );
    return this.setLink({ name: veth.name }, { alias: veth.alias });
  }

  /** Born in the other namespace, too; its parent stays here. */
  addChild(child: Child): this {
    this.#newLink(child.name)
      .u32(IFLA_LINK, child.parentIndex)
      .u32(IFLA_NET_NS_FD, child.namespaceFd)
      .nest(IFLA_LINKINFO, (info) =>
        info.text(IFLA_INFO_KIND, child.kind).nest(IFLA_INFO_DATA, (data) => {
          if (child.kind === "macvlan") data.u32(IFLA_MACVLAN_MODE, child.mode);
          else data.u16(IFLA_IPVLAN_MODE, child.mode).u16(IFLA_IPVLAN_FLAGS, child.flag ?? 0);
        }),
      );
    return this;
  }

  addDummy(name: string, alias: string): this {
    this.#newLink(name).nest(IFLA_LINKINFO, (info) => info.text(IFLA_INFO_KIND, "dummy"));
    return this.setLink({ name }, { alias });
  }

  addVlan(vlan: {
    readonly name: string;
    readonly alias: string;
    readonly parentIndex: number;
    readonly id: number;
  }): this {
    this.#newLink(vlan.name)
      .u32(IFLA_LINK, vlan.parentIndex)
      .nest(IFLA_LINKINFO, (info) =>
        info.text(IFLA_INFO_KIND, "vlan").nest(IFLA_INFO_DATA, (data) => data.u16(IFLA_VLAN_ID, vlan.id)),
      );
    return this.setLink({ name: vlan.name }, { alias: vlan.alias });
  }

  #newLink(name: string): MessageWriter {
    return this.writer
      .begin(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, linkHeader(0, undefined))
      .text(IFLA_IFNAME, name);
  }

  deleteLink(link: LinkRef): this {
    this.writer.begin(RTM_DELLINK, NLM_F_ACK, linkHeader("index" in link ? link.index : 0, undefined));
    if ("name" in link) this.writer.text(IFLA_IFNAME, link.name);
    return this;
  }

  setPort(index: number, { isIsolated, isHairpin }: PortMode): this {
    this.writer
      .begin(RTM_SETLINK, NLM_F_ACK, linkHeader(index, undefined, AF_BRIDGE))
      .nest(IFLA_PROTINFO, (port) =>
        port.u8(IFLA_BRPORT_MODE, Number(isHairpin)).u8(IFLA_BRPORT_ISOLATED, Number(isIsolated)),
      );
    return this;
  }

  addAddress(index: number, address: Address, prefix: Prefix): this {
    const bytes = addressBytes(address);
    // Duplicate address detection would hold an IPv6 address back for a second; ours are unique by ipam.
    const flags = address.family === 6 ? IFA_F_NODAD : IFA_F_PERMANENT;
    const header = Uint8Array.of(kernelFamily(address.family), prefix.length, flags, 0, 0, 0, 0, 0);
    writeU32(Buffer.from(header.buffer), 4, index);
    this.writer
      .begin(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, header)
      .bytes(IFA_LOCAL, bytes)
      .bytes(IFA_ADDRESS, bytes);
    if (address.family === 4 && prefix.length < 31) {
      const broadcast = { family: prefix.family, value: prefix.base | ((1n << BigInt(32 - prefix.length)) - 1n) };
      this.writer.bytes(IFA_BROADCAST, addressBytes(broadcast));
    }
    return this;
  }

  deleteAddress(address: InterfaceAddress): this {
    const header = Buffer.alloc(8);
    header[0] = kernelFamily(address.address.family);
    header[1] = address.length;
    writeU32(header, 4, address.index);
    this.writer.begin(RTM_DELADDR, NLM_F_ACK, header).bytes(IFA_LOCAL, addressBytes(address.address));
    return this;
  }

  /** Without a gateway everybody is on the link (ipvlan in mode l3). */
  setDefaultRoute(index: number, family: Family, gateway: Address | undefined, mode = NLM_F_REPLACE): this {
    const header = Buffer.alloc(12);
    const scope = gateway === undefined ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    header.set([kernelFamily(family), 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST]);
    this.writer.begin(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | mode, header);
    if (gateway !== undefined) this.writer.bytes(RTA_GATEWAY, addressBytes(gateway));
    this.writer.u32(RTA_OIF, index);
    return this;
  }

  /** Refused (EEXIST) where there is one. */
  addDefaultRoute(index: number, family: Family, gateway: Address | undefined): this {
    return this.setDefaultRoute(index, family, gateway, NLM_F_EXCL);
  }

  deleteDefaultRoute(family: Family): this {
    const header = Buffer.alloc(12);
    header.set([kernelFamily(family), 0, 0, 0, RT_TABLE_MAIN, 0, RT_SCOPE_NOWHERE, 0]);
    this.writer.begin(RTM_DELROUTE, NLM_F_ACK, header);
    return this;
  }
}

/** rtnetlink in the namespace in which it was opened. */
export class RouteSocket implements Disposable {
  readonly #socket = new NetlinkSocket(NETLINK_ROUTE);

  apply(batch: RouteBatch, what: string): void {
    if (batch.writer.count > 0) this.#socket.request(batch.writer, what);
  }

  /** The codes of the failures, in the order of the batch; nothing is thrown. */
  tryEach(batch: RouteBatch, what: string): (string | undefined)[] {
    if (batch.writer.count === 0) return [];
    return this.#socket.requestEach(batch.writer, what).map((failure) => failure?.code);
  }

  findLink(name: string): Link | undefined {
    const writer = new MessageWriter().begin(RTM_GETLINK, 0, linkHeader(0, undefined)).text(IFLA_IFNAME, name);
    try {
      return this.#socket.query(writer, `get ${name}`).map((message) => parseLink(message.payload))[0];
    } catch (error) {
      // ERANGE: no interface can have a name so long.
      if (errnoOf(error) === "ENODEV" || errnoOf(error) === "ERANGE") return undefined;
      throw error;
    }
  }

  getLink(name: string): Link {
    const link = this.findLink(name);
    if (link === undefined) throw new Error(`no such interface: ${name}`);
    return link;
  }

  listLinks(): Link[] {
    const writer = new MessageWriter().begin(RTM_GETLINK, NLM_F_DUMP, linkHeader(0, undefined));
    return this.#socket.query(writer, "list links").map((message) => parseLink(message.payload));
  }

  listAddresses(index: number): InterfaceAddress[] {
    const writer = new MessageWriter().begin(RTM_GETADDR, NLM_F_DUMP, Buffer.alloc(8));
    return this.#socket.query(writer, "list addresses").flatMap((message) => {
      const address = parseAddress(message.payload);
      return address?.index === index ? [address] : [];
    });
  }

  /** Where the host is on-link: what a network must not be cut from. IPv4, main table. */
  listOnLinkPrefixes(): Prefix[] {
    const header = Buffer.alloc(12);
    header[0] = AF_INET;
    const writer = new MessageWriter().begin(RTM_GETROUTE, NLM_F_DUMP, header);
    return this.#socket.query(writer, "list routes").flatMap(({ payload }) => {
      const [length = 0, scope] = [payload[1], payload[6]];
      const destination = readAttributes(payload, 12).get(RTA_DST);
      if (payload[4] !== RT_TABLE_MAIN || scope !== RT_SCOPE_LINK || destination === undefined) return [];
      return [{ family: 4 as const, base: addressFromBytes(destination).value, length }];
    });
  }

  /**
   * Deletes a link of the namespace that the thread is in now, on a socket of its own and off the main thread: the
   * kernel waits up to 30 ms for the last readers of a device, and the event loop must not.
   */
  static async deleteLink(name: string): Promise<void> {
    using socket = new RouteSocket();
    await socket.deleteInBackground(name);
  }

  /** The same in this socket's namespace; no other request meanwhile. */
  async deleteInBackground(name: string): Promise<void> {
    await this.#socket.requestInBackground(new RouteBatch().deleteLink({ name }).writer, `delete ${name}`);
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

function parseLink(payload: Buffer): Link {
  const attributes = readAttributes(payload, 16);
  const info = readAttributes(attributes.get(IFLA_LINKINFO) ?? Buffer.alloc(0));
  const [portState = BR_STATE_FORWARDING] =
    readAttributes(info.get(IFLA_INFO_SLAVE_DATA) ?? Buffer.alloc(0)).get(IFLA_BRPORT_STATE) ?? [];
  const master = attributes.get(IFLA_MASTER);
  const mtu = attributes.get(IFLA_MTU);
  return {
    index: readI32(payload, 4),
    name: readText(attributes.get(IFLA_IFNAME)),
    isRunning: (readU32(payload, 8) & IFF_RUNNING) !== 0 && portState === BR_STATE_FORWARDING,
    alias: readText(attributes.get(IFLA_IFALIAS)),
    kind: readText(info.get(IFLA_INFO_KIND)),
    isParentElsewhere: attributes.has(IFLA_LINK_NETNSID),
    master: master === undefined ? 0 : readU32(master, 0),
    mtu: mtu === undefined ? 0 : readU32(mtu, 0),
    mac: Uint8Array.from(attributes.get(IFLA_ADDRESS) ?? []),
  };
}

function parseAddress(payload: Buffer): InterfaceAddress | undefined {
  const attributes = readAttributes(payload, 8);
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if (bytes === undefined) return undefined;
  return { index: readU32(payload, 4), address: addressFromBytes(bytes), length: payload[1] ?? 0 };
}
