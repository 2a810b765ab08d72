import { readFileSync } from "node:fs";
import { type Address, formatAddress, isSame, isUnspecified } from "./address.ts";
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
  /** By protocol and port: the addresses that have it are few. */
  readonly #holders = new Map<string, Address[]>();
  /** Where the last search in a range ended: a freed port is not handed out again at once. */
  readonly #last = new Map<string, number>();

  constructor(ephemeral: PortRange) {
    this.#ephemeral = ephemeral;
  }

  /** One port that is free on all addresses. A range of one is that port or an error; undefined is any ephemeral port. */
  allocate(addresses: readonly Address[], protocol: Protocol, range: PortRange | undefined): number {
    const { first, last } = range ?? this.#ephemeral;
    if (first === last) {
      const holder = this.#findHolder(addresses, protocol, first);
      if (holder === undefined) return this.#take(addresses, protocol, first);
      throw new PortError(`Bind for ${formatAddress(holder)}:${first} failed: port is already allocated`);
    }
    const names = addresses.map((address) => `${protocol} ${formatAddress(address)} ${first}-${last}`);
    const size = last - first + 1;
    const start = this.#last.get(names[0] ?? "") ?? last;
    for (let i = 1; i <= size; i += 1) {
      const port = first + ((start - first + i) % size);
      if (this.#findHolder(addresses, protocol, port) !== undefined) continue;
      for (const name of names) this.#last.set(name, port);
      return this.#take(addresses, protocol, port);
    }
    throw new PortError("all ports are allocated");
  }

  release(address: Address, protocol: Protocol, port: number): void {
    const key = `${port}/${protocol}`;
    const left = (this.#holders.get(key) ?? []).filter((holder) => !isSame(holder, address));
    if (left.length > 0) this.#holders.set(key, left);
    else this.#holders.delete(key);
  }

  #take(addresses: readonly Address[], protocol: Protocol, port: number): number {
    const key = `${port}/${protocol}`;
    this.#holders.set(key, [...(this.#holders.get(key) ?? []), ...addresses]);
    return port;
  }

  /** Who has the port already on one of the addresses. */
  #findHolder(addresses: readonly Address[], protocol: Protocol, port: number): Address | undefined {
    const holders = this.#holders.get(`${port}/${protocol}`);
    return holders?.find((holder) => addresses.some((address) => collide(address, holder)));
  }
}

/** A port of one is a port of the other. */
export const collide = (a: Address, b: Address): boolean =>
  a.family === b.family && (a.value === b.value || isUnspecified(a) || isUnspecified(b));
