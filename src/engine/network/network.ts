import type { Id } from "#base/ids";
import {
  type Address,
  contains,
  type Family,
  type NetworkSandbox,
  Pool,
  type PublishedPort,
  parseAddress,
  parsePrefix,
} from "#network";
import type { ContainerRecord } from "#storage";
import { type BridgeOptions, parseBridgeOptions } from "./driver/bridge-options.ts";
import { isParentDriver, type ParentOptions, parseParentOptions } from "./driver/parent-options.ts";
import type { NetworkFiles } from "./etc/files.ts";
import type { NetworkRecord, PoolRecord } from "./record.ts";
import type { Gateways } from "./sandbox/gateways.ts";
import type { Resolver } from "./sandbox/names.ts";

/** A container on a network, as long as it runs. */
export interface Endpoint {
  readonly id: Id;
  readonly network: Network;
  readonly container: ContainerRecord;
  /** Of the interface inside the sandbox; empty on `host` and `none`. */
  readonly interfaceName: string;
  /** `02:42:ac:11:00:02`, or empty. */
  readonly mac: string;
  readonly address4: Address | undefined;
  readonly address6: Address | undefined;
  readonly priority: number;
  /** What the network's resolver calls it, the container's name first, in lower case. */
  names: readonly string[];
  /** `--link name:alias`: what only this container calls others there, by alias, in lower case. */
  readonly links: Readonly<Record<string, string>>;
}

/** A running container's network: its namespace and what is plugged into it. */
export interface ContainerSandbox {
  readonly id: Id;
  /** Path of the namespace. */
  readonly key: string;
  /** Undefined in the host's network. */
  readonly network: NetworkSandbox | undefined;
  readonly container: ContainerRecord;
  readonly files: NetworkFiles;
  readonly endpoints: Endpoint[];
  gateways: Gateways;
  published: readonly PublishedPort[];
  /** What its name queries may lead to; undefined where the relay does not answer them. */
  resolver: Resolver | undefined;
}

/** A network while the daemon runs: its record, the leases of its addresses, and who is on it. */
export class Network {
  readonly record: NetworkRecord;
  readonly bridge: BridgeOptions;
  /** What the interfaces of a macvlan or ipvlan network hang from. */
  readonly link: ParentOptions | undefined;
  readonly #pools: readonly { readonly record: PoolRecord; readonly pool: Pool }[];
  readonly #endpoints = new Map<string, Endpoint>();

  constructor(record: NetworkRecord) {
    this.record = record;
    this.bridge = parseBridgeOptions(record.driver === "bridge" ? record.options : {});
    const { driver, id, options, isConfigOnly } = record;
    this.link = isParentDriver(driver) ? parseParentOptions(driver, options, id) : undefined;
    // A configuration has ranges only for the networks that are made from it, and a family that is off has none.
    const pools = isConfigOnly ? [] : record.pools.filter(({ subnet }) => subnet !== "");
    this.#pools = pools.map((pool) => ({ record: pool, pool: openPool(pool) }));
  }

  get id(): Id {
    return this.record.id;
  }

  get name(): string {
    return this.record.name;
  }

  /** Of the interface on the host. */
  get bridgeName(): string {
    return bridgeNameOf(this.id, this.bridge.name);
  }

  get isBridge(): boolean {
    return this.record.driver === "bridge" && !this.record.isConfigOnly;
  }

  /** Its containers have an interface on it. */
  get hasInterfaces(): boolean {
    return this.isBridge || this.link !== undefined;
  }

  /** Its containers reach everybody by the link alone. */
  get isRoutedByDevice(): boolean {
    return this.link?.kind === "ipvlan" && this.link.mode > 0;
  }

  pools(family: Family): Pool[] {
    return this.#pools.filter(({ record }) => record.family === family).map(({ pool }) => pool);
  }

  /** The bridge's own address, which is the gateway of the containers unless the network is internal. */
  gateway(family: Family): Address | undefined {
    const gateway = this.record.pools.find((pool) => pool.family === family)?.gateway ?? "";
    return parseAddress(gateway);
  }

  /** Where a container with this address sends what is for elsewhere. */
  routeFrom(address: Address): Address | undefined {
    if (this.record.isInternal) return undefined;
    const pool = this.#pools.find(({ pool: { subnet } }) => contains(subnet, address))?.record;
    const other = pool?.requested.auxiliaryAddresses?.[`DefaultGatewayIPv${address.family}`];
    return parseAddress(other ?? pool?.gateway ?? "");
  }

  get endpoints(): Endpoint[] {
    return [...this.#endpoints.values()];
  }

  get isEmpty(): boolean {
    return this.#endpoints.size === 0;
  }

  addEndpoint(endpoint: Endpoint): void {
    this.#endpoints.set(endpoint.id, endpoint);
  }

  /** Its leases are given back, too. Whether it was here. */
  removeEndpoint(endpoint: Endpoint): boolean {
    if (!this.#endpoints.delete(endpoint.id)) return false;
    for (const address of addressesOf(endpoint)) this.poolOf(address)?.release(address);
    return true;
  }

  /** By the name of its container. */
  findEndpoint(name: string): Endpoint | undefined {
    return this.endpoints.find(({ container }) => container.name === name);
  }

  poolOf(address: Address): Pool | undefined {
    return this.pools(address.family).find(({ subnet }) => contains(subnet, address));
  }
}

export const bridgeNameOf = (id: Id, asked: string): string => (asked === "" ? `br-${id.slice(0, 12)}` : asked);

export const addressesOf = ({ address4, address6 }: Endpoint): Address[] =>
  [address4, address6].filter((address) => address !== undefined);

/** The leases that a network has before any container: its gateway and the auxiliary addresses. */
function openPool(record: PoolRecord): Pool {
  const subnet = parsePrefix(record.subnet);
  if (subnet === undefined) throw new Error(`network record with a bad subnet ${record.subnet}`);
  const pool = new Pool(subnet, parsePrefix(record.ipRange) ?? subnet);
  const reserved = [record.gateway, ...Object.values(record.requested.auxiliaryAddresses ?? {})];
  for (const text of reserved) {
    const address = parseAddress(text);
    if (address !== undefined && !pool.isLeased(address)) pool.leaseExactly(address);
  }
  return pool;
}
