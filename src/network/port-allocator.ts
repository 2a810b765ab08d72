import { readFileSync } from "node:fs";
import { type Address, type Family, formatAddress, isUnspecified } from "./address.ts";
import type { Protocol } from "./firewall.ts";

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** No port can be had; the text is Docker's. */
export class PortError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "PortError";
  }
}

/** What the kernel gives to clients without a choice; moby takes its random ports from there, too. */
export function ephemeralPorts(): PortRange {
  const [first = 49153, last = 65535] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8")
    .trim()
    .split(/\s+/)
    .map(Number);
  return { first, last };
}

/** Who has which port of which address, after moby's libnetwork/portallocator. Pure: no socket is touched. */
export class PortAllocator {
  readonly #ephemeral: PortRange;
  readonly #taken = new Map<string, Set<number>>();
  /** Where the last search in a range ended: a freed port is not handed out again at once. */
  readonly #last = new Map<string, number>();

  constructor(ephemeral: PortRange) {
    this.#ephemeral = ephemeral;
  }

  /** One port that is free on all addresses. A range of one is that port or an error; undefined is any ephemeral port. */
  allocate(addresses: readonly Address[], protocol: Protocol, range: PortRange | undefined): number {
    const { first, last } = range ?? this.#ephemeral;
    if (first === last) {
      const holder = addresses
        .map((address) => this.#holder(address, protocol, first))
        .find((key) => key !== undefined);
      if (holder !== undefined) throw new PortError(`Bind for ${holder}:${first} failed: port is already allocated`);
      return this.#take(addresses, protocol, first);
    }
    const names = addresses.map((address) => `${keyOf(address, protocol)} ${first}-${last}`);
    const size = last - first + 1;
    const start = this.#last.get(names[0] ?? "") ?? last;
    for (let i = 1; i <= size; i += 1) {
      const port = first + ((start - first + i) % size);
      if (addresses.some((address) => this.#holder(address, protocol, port) !== undefined)) continue;
      for (const name of names) this.#last.set(name, port);
      return this.#take(addresses, protocol, port);
    }
    throw new PortError("all ports are allocated");
  }

  release(address: Address, protocol: Protocol, port: number): void {
    this.#taken.get(keyOf(address, protocol))?.delete(port);
  }

  #take(addresses: readonly Address[], protocol: Protocol, port: number): number {
    for (const address of addresses) {
      const key = keyOf(address, protocol);
      const ports = this.#taken.get(key) ?? new Set<number>();
      this.#taken.set(key, ports.add(port));
    }
    return port;
  }

  /** The address that has the port already: itself, the unspecified one, or, for that, any of its family. */
  #holder(address: Address, protocol: Protocol, port: number): string | undefined {
    const unspecified: Address = { family: address.family, value: 0n };
    if (this.#taken.get(keyOf(address, protocol))?.has(port) === true) return formatAddress(address);
    if (this.#taken.get(keyOf(unspecified, protocol))?.has(port) === true) return formatAddress(unspecified);
    if (!isUnspecified(address)) return undefined;
    return this.#anyHolder(address.family, protocol, port);
  }

  #anyHolder(family: Family, protocol: Protocol, port: number): string | undefined {
    const start = `${protocol} ${family} `;
    for (const [key, ports] of this.#taken)
      if (key.startsWith(start) && ports.has(port)) return key.slice(start.length);
    return undefined;
  }
}

const keyOf = (address: Address, protocol: Protocol): string =>
  `${protocol} ${address.family} ${formatAddress(address)}`;
