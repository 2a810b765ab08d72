/** Neighbours that remember another owner of an address learn the new one: unsolicited ARP, and Neighbour Advertisements. */
import { close } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "#base/log";
import { AF_PACKET, packetAddress, SOCK_DGRAM, sendto, socket } from "#native";
import { type Address, addressBytes } from "./address.ts";
import type { Namespaces } from "./namespaces.ts";
import { RouteSocket } from "./netlink/route.ts";
import { portName } from "./plug.ts";

export interface Announcing {
  readonly count: number;
  readonly intervalMs: number;
}

export interface Announcement {
  readonly endpointId: string;
  /** The namespace, and the interface in it. */
  readonly key: string;
  readonly name: string;
  readonly mac: Uint8Array;
  readonly addresses: readonly Address[];
}

/** A bridge drops what comes before its new port forwards: a moment, but half a minute where it speaks the spanning tree protocol. */
const longestPauseMs = 5;
const mostLooks = 100;

interface Packet {
  readonly payload: Uint8Array;
  readonly to: (interfaceIndex: number) => Buffer;
}

/** Sends while others prepare what will run, and then while nobody waits; a container that is gone by then costs nothing. */
export class Announcer implements Disposable {
  readonly #namespaces: Namespaces;
  readonly #route = new RouteSocket();
  readonly #log: Log;
  readonly #begun = new Map<string, { readonly ending: AbortController; readonly first: Promise<void> }>();

  constructor(namespaces: Namespaces, log: Log) {
    this.#namespaces = namespaces;
    this.#log = log;
  }

  begin(announcement: Announcement, { count, intervalMs }: Announcing): void {
    const packets = announcement.addresses.map((address) => announcementOf(address, announcement.mac));
    if (packets.length === 0 || count === 0) return;
    const ending = new AbortController();
    const first = this.#sendFirst(announcement, packets, ending.signal);
    this.#begun.set(announcement.endpointId, { ending, first: first.catch(() => undefined) });
    first
      .then(async () => {
        for (let sent = 1; sent < count; sent += 1) {
          await sleep(intervalMs, undefined, { signal: ending.signal, ref: false });
          this.#send(announcement, packets, true);
        }
      })
      .catch((err: unknown) => {
        if (!ending.signal.aborted) this.#log.debug({ err, name: announcement.name }, "addresses cannot be announced");
      });
  }

  /** Resolves when its neighbours have been told once, or are not to be told. */
  async toldOnce(endpointId: string): Promise<void> {
    await this.#begun.get(endpointId)?.first;
  }

  end(endpointId: string): void {
    this.#begun.get(endpointId)?.ending.abort();
    this.#begun.delete(endpointId);
  }

  async #sendFirst(announcement: Announcement, packets: readonly Packet[], signal: AbortSignal): Promise<void> {
    for (let looks = 1; ; looks += 1) {
      await sleep(Math.min(looks, longestPauseMs), undefined, { signal, ref: false });
      if (this.#send(announcement, packets, looks === mostLooks)) return;
    }
  }

  /** False: its bridge would drop it, and it was not to be sent `anyway`. */
  #send({ endpointId, key, name }: Announcement, packets: readonly Packet[], anyway: boolean): boolean {
    const port = this.#route.findLink(portName(endpointId));
    return this.#namespaces.enter(key, () => {
      using route = new RouteSocket();
      const { index, isRunning } = route.getLink(name);
      if (port !== undefined && !(isRunning && port.isRunning) && !anyway) return false;
      const fd = socket(AF_PACKET, SOCK_DGRAM);
      try {
        for (const { payload, to } of packets) sendto(fd, payload, 0, to(index));
      } finally {
        // The kernel waits for RCU in there: on another thread.
        close(fd);
      }
      return true;
    });
  }

  [Symbol.dispose](): void {
    for (const endpointId of this.#begun.keys()) this.end(endpointId);
    this.#route[Symbol.dispose]();
  }
}

const ETH_P_ARP = 0x0806;
const ETH_P_IPV6 = 0x86dd;
const broadcast = Buffer.alloc(6, 0xff);
const allNodesMac = Buffer.from("333300000001", "hex");
const allNodes = Buffer.from("ff020000000000000000000000000001", "hex");

function announcementOf(address: Address, mac: Uint8Array): Packet {
  const own = addressBytes(address);
  const [protocol, destination, payload] =
    address.family === 4
      ? ([ETH_P_ARP, broadcast, arpRequest(own, mac)] as const)
      : ([ETH_P_IPV6, allNodesMac, neighbourAdvertisement(own, mac)] as const);
  return { payload, to: (interfaceIndex) => packetAddress({ protocol, interfaceIndex, destination }) };
}

/** RFC 5227, 2.3: a request by the address for itself. Hardware Ethernet, protocol IPv4, their lengths, operation 1. */
const arpRequest = (own: Uint8Array, mac: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from("0001080006040001", "hex"), mac, own, Buffer.alloc(6), own]);

/** RFC 4861, 4.4, with the override flag and the target's link-layer address; from the address to all nodes, 255 hops. */
function neighbourAdvertisement(own: Uint8Array, mac: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from("8800000020000000", "hex"), own, Buffer.of(2, 1), mac]);
  const length = Buffer.of(0, body.length);
  const pseudoHeader = Buffer.concat([own, allNodes, Buffer.of(0, 0), length, Buffer.of(0, 0, 0, 58)]);
  body.writeUInt16BE(internetChecksum(Buffer.concat([pseudoHeader, body])), 2);
  return Buffer.concat([Buffer.of(0x60, 0, 0, 0), length, Buffer.of(58, 255), own, allNodes, body]);
}

/** RFC 1071, of an even number of bytes. */
function internetChecksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
