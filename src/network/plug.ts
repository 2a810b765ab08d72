import { randomBytes } from "node:crypto";
import type { Id } from "#base/ids";
import type { Address, Family, Prefix } from "./address.ts";
import type { ChildLink } from "./parents.ts";

/** A veth's other end. */
export interface BridgePort {
  readonly kind: "bridge";
  readonly bridge: string;
  /** The port reaches the bridge and the outside, but no other container. */
  readonly isIsolated: boolean;
}

/** One interface inside a sandbox, and what it hangs from on the host. */
export interface Plug {
  readonly endpointId: Id;
  /** "eth0". */
  readonly name: string;
  readonly link: BridgePort | ChildLink;
  /** Undefined: the kernel's choice, and for an ipvlan its parent's. */
  readonly mac: Uint8Array | undefined;
  readonly mtu: number | undefined;
  readonly addresses: readonly { readonly address: Address; readonly prefix: Prefix }[];
  /** Names below /proc/sys, and their values. */
  readonly sysctls: readonly (readonly [name: string, value: string])[];
}

export interface DefaultRoute {
  /** Of the interface inside. */
  readonly name: string;
  readonly family: Family;
  /** Undefined: everybody is on the link. */
  readonly gateway: Address | undefined;
}

/** moby's names: "veth" and seven digits. Derived from the endpoint, so a restarted daemon finds its ports again. */
export const portName = (endpointId: string): string => `veth${endpointId.slice(0, 7)}`;

/** Locally administered, not multicast. */
export function randomMac(): Uint8Array {
  const mac = Uint8Array.from(randomBytes(6));
  mac[0] = ((mac[0] ?? 0) & 0xfe) | 0x02;
  return mac;
}

export const formatMac = (mac: Uint8Array): string =>
  Buffer.from(mac)
    .toString("hex")
    .replace(/..(?!$)/g, "$&:");
