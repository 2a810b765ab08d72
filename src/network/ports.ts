import { closeSync } from "node:fs";
import { errnoOf } from "#base/errors";
import {
  AF_INET,
  AF_INET6,
  bind,
  IPPROTO_IPV6,
  IPPROTO_SCTP,
  IPV6_V6ONLY,
  inetAddress,
  listen,
  SO_REUSEADDR,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_SOCKET,
  setsockopt,
  socket,
} from "#native";
import { type Address, formatAddress, isLoopback, isUnspecified, parseAddress } from "./address.ts";
import type { Firewall, PortForward, Protocol } from "./firewall.ts";
import { type PortAllocator, PortError, type PortRange } from "./port-allocator.ts";
import { type Forwarder, forwardLater } from "./port-forwarder.ts";

/** One `-p`: a container's port, and where it is wanted on the host. */
export interface PortRequest {
  readonly protocol: Protocol;
  readonly containerPort: number;
  /** Undefined: the network's default, on IPv4 and IPv6. */
  readonly hostAddress: Address | undefined;
  /** Undefined: any free port. */
  readonly hostPorts: PortRange | undefined;
}

export interface PublishedPort extends PortForward {
  /** Holds the port: another program that wants it is told so by the kernel. Undefined once a forwarder owns it. */
  readonly fd: number | undefined;
  /** Where kernel NAT cannot reach: from IPv6 to a container that has IPv4 only, and from ::1. */
  readonly forwarder: Forwarder | undefined;
}

export interface PortOwner {
  readonly address4: Address | undefined;
  readonly address6: Address | undefined;
  /** Where a port goes that names no host address. */
  readonly defaultHostAddress: Address;
}

const attempts = 10;
const any4: Address = { family: 4, value: 0n };
const any6: Address = { family: 6, value: 0n };

/** Publishes ports of containers on this host: chooses, holds, and tells the firewall. */
export class Ports {
  readonly #allocator: PortAllocator;
  readonly #firewall: Firewall;

  constructor(allocator: PortAllocator, firewall: Firewall) {
    this.#allocator = allocator;
    this.#firewall = firewall;
  }

  /** All of them or none. The order of the answer is that of moby: fixed ports first, then by container port. */
  publish(requests: readonly PortRequest[], owner: PortOwner): PublishedPort[] {
    return this.#publish(requests, owner, hold);
  }

  /**
   * As `publish`, for a container that had these ports all along while nobody held them. Another program that has taken one
   * keeps its socket; what is for the container goes to the container as it did.
   */
  republish(requests: readonly PortRequest[], owner: PortOwner, onTaken: (error: unknown) => void): PublishedPort[] {
    return this.#publish(requests, owner, (binding, port) => {
      try {
        return hold(binding, port);
      } catch (error) {
        onTaken(error);
        return undefined;
      }
    });
  }

  #publish(requests: readonly PortRequest[], owner: PortOwner, take: Hold): PublishedPort[] {
    const published: PublishedPort[] = [];
    try {
      for (const group of groupByPort([...requests].sort(compareRequests))) {
        const bindings = group.flatMap((request) => bindingsOf(request, owner));
        if (bindings.length > 0) published.push(...this.#publishTogether(bindings, take));
      }
      this.#firewall.addForwards(published.filter(isTranslated));
    } catch (error) {
      this.#release(published);
      throw error;
    }
    return published.map(startForwarder);
  }

  unpublish(published: readonly PublishedPort[]): void {
    this.#firewall.removeForwards(published.filter(isTranslated));
    this.#release(published);
  }

  /** The same port on several addresses. A random port that turns out to be taken is replaced by another one. */
  #publishTogether(bindings: readonly Binding[], take: Hold): PublishedPort[] {
    const [{ protocol, hostPorts } = failBecauseEmpty()] = bindings;
    const addresses = bindings.map(({ host }) => host);
    const isFixed = hostPorts !== undefined && hostPorts.first === hostPorts.last;
    for (let attempt = 1; ; attempt += 1) {
      const port = this.#allocator.allocate(addresses, protocol, hostPorts);
      try {
        return bindAll(bindings, port, take);
      } catch (error) {
        for (const address of addresses) this.#allocator.release(address, protocol, port);
        if (isFixed || attempt === attempts) throw error;
      }
    }
  }

  #release(published: readonly PublishedPort[]): void {
    for (const { fd, forwarder, host, protocol, hostPort } of published) {
      forwarder?.close();
      if (fd !== undefined) closeSync(fd);
      this.#allocator.release(host, protocol, hostPort);
    }
  }
}

interface Binding {
  readonly protocol: Protocol;
  readonly containerPort: number;
  readonly hostPorts: PortRange | undefined;
  readonly host: Address;
  readonly container: Address;
}

/** Takes a port on the host; undefined where it cannot be held and need not be. */
type Hold = (binding: Binding, port: number) => number | undefined;

const failBecauseEmpty = (): never => {
  throw new Error("no binding to publish");
};

/** One request is one binding a family; a family in which the container has no address falls away. */
function bindingsOf(request: PortRequest, owner: PortOwner): Binding[] {
  const { protocol, containerPort, hostPorts } = request;
  const host = request.hostAddress ?? owner.defaultHostAddress;
  const isEverywhere = request.hostAddress === undefined && host.family === 4 && host.value === 0n;
  const hosts = isEverywhere ? [any4, any6] : [host];
  return hosts.flatMap((address) => {
    const container = address.family === 4 ? owner.address4 : (owner.address6 ?? owner.address4);
    return container === undefined ? [] : [{ protocol, containerPort, hostPorts, host: address, container }];
  });
}

/** The kernel's NAT does it: both ends are of one family. It cannot lead out of the machine what came from ::1. */
const isTranslated = ({ host, container }: PortForward): boolean =>
  host.family === container.family && !(host.family === 6 && isLoopback(host));

const needsForwarder = (port: PortForward): boolean =>
  !isTranslated(port) || (port.host.family === 6 && isUnspecified(port.host));

const protocolOrder: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** moby's cmpPortBinding: what differs only in the host's address is adjacent and gets the same port. */
function compareRequests(a: PortRequest, b: PortRequest): number {
  const isRange = ({ hostPorts }: PortRequest) => Number(hostPorts === undefined || hostPorts.first !== hostPorts.last);
  return (
    isRange(a) - isRange(b) ||
    a.containerPort - b.containerPort ||
    protocolOrder[a.protocol] - protocolOrder[b.protocol] ||
    (a.hostPorts?.first ?? 0) - (b.hostPorts?.first ?? 0) ||
    (a.hostPorts?.last ?? 0) - (b.hostPorts?.last ?? 0) ||
    compareAddresses(a.hostAddress, b.hostAddress)
  );
}

function compareAddresses(a: Address | undefined, b: Address | undefined): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return a.family - b.family || Number(a.value > b.value) - Number(a.value < b.value);
}

function groupByPort(sorted: readonly PortRequest[]): PortRequest[][] {
  const groups: PortRequest[][] = [];
  for (const request of sorted) {
    const group = groups.at(-1);
    const last = group?.at(-1);
    if (last !== undefined && compareRequests({ ...last, hostAddress: request.hostAddress }, request) === 0) {
      group?.push(request);
    } else groups.push([request]);
  }
  return groups;
}

function bindAll(bindings: readonly Binding[], hostPort: number, take: Hold): PublishedPort[] {
  const bound: PublishedPort[] = [];
  try {
    for (const binding of bindings) {
      const { protocol, containerPort, host, container } = binding;
      const fd = take(binding, hostPort);
      bound.push({ protocol, host, hostPort, container, containerPort, fd, forwarder: undefined });
    }
    return bound;
  } catch (error) {
    for (const { fd } of bound) if (fd !== undefined) closeSync(fd);
    throw error;
  }
}

/** A socket on the port, so that the kernel refuses it to others and tells us who was first. */
function hold(binding: Binding, hostPort: number): number | undefined {
  const { protocol, host } = binding;
  const family = host.family === 4 ? AF_INET : AF_INET6;
  let fd: number;
  try {
    fd = socket(family, protocol === "udp" ? SOCK_DGRAM : SOCK_STREAM, protocol === "sctp" ? IPPROTO_SCTP : 0);
  } catch (error) {
    // A host without SCTP can still pass it on to a container.
    if (protocol === "sctp" && errnoOf(error) === "EPROTONOSUPPORT") return undefined;
    throw error;
  }
  try {
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (family === AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    bind(fd, inetAddress(formatAddress(host), hostPort));
    // With SO_REUSEADDR only listening tells whether somebody else has the port on another address.
    if (protocol !== "udp") listen(fd, 511);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw new PortError(`failed to bind host port for ${describe(binding, hostPort)}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

function startForwarder(port: PublishedPort): PublishedPort {
  const { fd, protocol, container, containerPort } = port;
  if (!needsForwarder(port) || fd === undefined || protocol === "sctp") return port;
  const target = { address: formatAddress(container), port: containerPort };
  return { ...port, fd: undefined, forwarder: forwardLater(fd, protocol, target) };
}

const bracketed = (address: Address): string =>
  address.family === 4 ? formatAddress(address) : `[${formatAddress(address)}]`;

const describe = ({ host, container, containerPort, protocol }: Binding, hostPort: number): string =>
  `${bracketed(host)}:${hostPort}:${bracketed(container)}:${containerPort}/${protocol}`;

/** The C library's words, which Go prints, for what bind(2) may say. */
const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "address already in use",
  EADDRNOTAVAIL: "cannot assign requested address",
  EACCES: "permission denied",
};

const reasonOf = (error: unknown): string => {
  const code = errnoOf(error) ?? "";
  return reasons[code] ?? code;
};

/** A host address of `-p`: empty is undefined, and anything that is no address as well, as Go's ParseIP has it. */
export const parseHostAddress = (text: string): Address | undefined => (text === "" ? undefined : parseAddress(text));
