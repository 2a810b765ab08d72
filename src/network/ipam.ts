import { EngineError } from "#base/errors";
import {
  type Address,
  contains,
  type Family,
  formatAddress,
  formatPrefix,
  lastOf,
  overlaps,
  type Prefix,
  parsePrefix,
  sizeOf,
} from "./address.ts";

/** A range that networks without a subnet of their own are cut from, in pieces of `/size`. */
export interface AddressPool {
  readonly base: Prefix;
  readonly size: number;
}

const pool = (base: string, size: number): AddressPool => {
  const prefix = parsePrefix(base);
  if (prefix === undefined) throw new Error(`bad default pool ${base}`);
  return { base: prefix, size };
};

/** dockerd's (moby libnetwork/ipamutils). */
export const defaultAddressPools: readonly AddressPool[] = [
  pool("172.17.0.0/16", 16),
  pool("172.18.0.0/16", 16),
  pool("172.19.0.0/16", 16),
  pool("172.20.0.0/14", 16),
  pool("172.24.0.0/14", 16),
  pool("172.28.0.0/14", 16),
  pool("192.168.0.0/16", 20),
];

/** For networks that are not this host's alone. */
export const globalAddressPools: readonly AddressPool[] = [pool("10.0.0.0/8", 24)];

/**
 * The first piece of the pools that overlaps nothing in `taken`.
 * Pure: the caller passes what is allocated and what the host uses.
 */
export function choosePool(pools: readonly AddressPool[], family: Family, taken: readonly Prefix[]): Prefix {
  for (const { base, size } of pools) {
    if (base.family !== family) continue;
    const step = 1n << BigInt((family === 4 ? 32 : 128) - size);
    for (let at = base.base; at <= lastOf(base); ) {
      const piece: Prefix = { family, base: at, length: size };
      const obstacle = taken.find((prefix) => overlaps(prefix, piece));
      if (obstacle === undefined) return piece;
      // Behind the obstacle, on a piece's border: an obstacle of a million pieces costs one step.
      const behind = lastOf(obstacle) + 1n;
      at = behind > at + step ? ((behind + step - 1n) / step) * step : at + step;
    }
  }
  throw new EngineError("invalidParameter", "all predefined address pools have been fully subnetted");
}

/** The addresses of one network's range, and who holds them is the caller's business: leases are taken and released. */
export class Pool {
  readonly subnet: Prefix;
  readonly #range: Prefix;
  readonly #leased = new Set<bigint>();
  /** Every address below it is leased: a search starts here, and a release moves it back. */
  #lowest: bigint;

  constructor(subnet: Prefix, range: Prefix = subnet) {
    this.subnet = subnet;
    this.#range = range;
    this.#lowest = range.base;
    // The network address and IPv4's broadcast are never given out, except on a point-to-point link (RFC 3021).
    if (subnet.family === 6 || sizeOf(subnet) > 2n) this.#leased.add(subnet.base);
    if (subnet.family === 4 && sizeOf(subnet) > 2n) this.#leased.add(lastOf(subnet));
  }

  /** The lowest free address, as moby gives them. */
  lease(): Address {
    if (!contains(this.subnet, { family: this.subnet.family, value: this.#range.base })) {
      const [range, subnet] = [formatPrefix(this.#range), formatPrefix(this.subnet)];
      throw new EngineError("system", `add-any, range '${range}' is not in subnet '${subnet}'`);
    }
    for (let value = this.#lowest; value <= lastOf(this.#range); value += 1n) {
      if (this.#leased.has(value)) continue;
      this.#leased.add(value);
      this.#lowest = value + 1n;
      return { family: this.subnet.family, value };
    }
    this.#lowest = lastOf(this.#range) + 1n;
    throw new EngineError("unavailable", "no available addresses on this pool");
  }

  /** This very address; it may lie outside the range that `lease` takes from. */
  leaseExactly(address: Address): Address {
    if (!contains(this.subnet, address)) {
      throw new EngineError("invalidParameter", "requested address is out of range");
    }
    if (this.#leased.has(address.value)) throw new EngineError("forbidden", "Address already in use");
    this.#leased.add(address.value);
    return address;
  }

  release(address: Address): void {
    if (!contains(this.subnet, address)) throw new Error(`${formatAddress(address)} is not of this pool`);
    if (!this.#leased.delete(address.value)) return;
    if (address.value < this.#lowest && contains(this.#range, address)) this.#lowest = address.value;
  }

  isLeased(address: Address): boolean {
    return this.#leased.has(address.value);
  }

  get leaseCount(): number {
    return this.#leased.size;
  }
}
