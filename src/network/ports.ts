import { errnoText } from "#base/errno-text";
import { type Address, formatAddress, isLoopback, parseAddress } from "./address.ts";
import type { Firewall, PortForward, Protocol } from "./firewall.ts";
import type { Flows } from "./flows.ts";
import { collide, type PortAllocator, PortError, type PortRange } from "./port-allocator.ts";
import type { HeldPort, Relay } from "./relay.ts";
import { RelayError } from "./relay-connection.ts";

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
  /**
   * Held by the relay, or open at the container's own address: a routed network has no ports of the host, and `hostPort`
   * is 0. A held one may be in others' hands after a restart: the kernel's part of it works nevertheless.
   */
  readonly kind: "held" | "routed";
  /** Open at the container's own address, too. */
  readonly isDirect: boolean;
}

export interface PortOwner {
  readonly address4: Address | undefined;
  readonly address6: Address | undefined;
  /** Where a port goes that names no host address. */
  readonly defaultHostAddress: Address;
  /** Families in which the container is reached by its own address. */
  readonly isRouted4: boolean;
  readonly isRouted6: boolean;
  /** Published ports are reached by the container's own address, too, as far as its network's firewall lets. */
  readonly isDirect: boolean;
}

const attempts = 10;
const any4: Address = { family: 4, value: 0n };
const any6: Address = { family: 6, value: 0n };

export interface PortsOptions {
  readonly allocator: PortAllocator;
  readonly firewall: Firewall;
  readonly relay: Relay;
  readonly flows: Flows;
  /** The relay serves whom the kernel's NAT does not: then [::] and ::1 lead to containers that have IPv4 only. */
  readonly isProxied: boolean;
}

/** Publishes ports of containers on this host: chooses, has them held, and tells the firewall. */
export class Ports {
  readonly #allocator: PortAllocator;
  readonly #firewall: Firewall;
  readonly #relay: Relay;
  readonly #flows: Flows;
  readonly #isProxied: boolean;

  constructor({ allocator, firewall, relay, flows, isProxied }: PortsOptions) {
    this.#allocator = allocator;
    this.#firewall = firewall;
    this.#relay = relay;
    this.#flows = flows;
    this.#isProxied = isProxied;
  }

  /** All of them or none. The order of the answer is that of moby: fixed ports first, then by container port. */
  async publish(requests: readonly PortRequest[], owner: PortOwner): Promise<PublishedPort[]> {
    const groups = this.#allocateAll(this.#bindingGroups(requests, owner));
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          await this.#hold(groups.flatMap(heldPorts));
          break;
        } catch (error) {
          this.#chooseAgain(groups, error, attempt === attempts);
        }
      }
      const published = groups.flatMap(publishedPorts);
      this.#openAll(published);
      this.#forgetFlows(published);
      return published;
    } catch (error) {
      for (const group of groups) this.#release(group);
      throw error;
    }
  }

  /**
   * As `publish`, for a container that had these ports all along while nobody held them. Another program that has taken one
   * keeps its socket; what is for the container goes to the container as it did.
   */
  async republish(requests: readonly PortRequest[], owner: PortOwner, onTaken: (error: unknown) => void) {
    const groups = this.#allocateAll(this.#bindingGroups(requests, owner));
    const published = groups.flatMap(publishedPorts);
    this.#openAll(published);
    for (const port of groups.flatMap(heldPorts)) await this.#hold([port]).catch(onTaken);
    return published;
  }

  /** The ports are free for others when this resolves. */
  async unpublish(published: readonly PublishedPort[]): Promise<void> {
    if (published.length === 0) return;
    const held = published.filter((port) => !isRouted(port));
    const dropped = this.#relay.dropPorts(held.map(idOf));
    this.#firewall.removeForwards(published.filter(isTranslated));
    this.#firewall.closeTargets(published.filter(({ isDirect }) => isDirect));
    for (const { host, protocol, hostPort } of held) this.#allocator.release(host, protocol, hostPort);
    await dropped;
    this.#forgetFlows(published);
  }

  #bindingGroups(requests: readonly PortRequest[], owner: PortOwner): Binding[][] {
    return groupByPort([...requests].sort(compareRequests))
      .map((group) => group.flatMap((request) => bindingsOf(request, owner, this.#isProxied)))
      .filter((bindings) => bindings.length > 0);
  }

  #hold(ports: readonly PublishedPort[]): Promise<void> {
    return this.#relay.holdPorts(ports.map((port) => heldPort(port, this.#isProxied)));
  }

  #forgetFlows(published: readonly PublishedPort[]): void {
    for (const family of [4, 6] as const) {
      const ports = published.filter(
        (port) => port.protocol === "udp" && isTranslated(port) && port.host.family === family,
      );
      this.#flows.forget(
        family,
        ports.map(({ hostPort }) => hostPort),
      );
    }
  }

  #openAll(published: readonly PublishedPort[]): void {
    this.#firewall.addForwards(published.filter(isTranslated));
    this.#firewall.openTargets(published.filter(({ isDirect }) => isDirect));
  }

  #allocateAll(groups: readonly (readonly Binding[])[]): Group[] {
    const allocated: Group[] = [];
    try {
      for (const bindings of groups) allocated.push(this.#allocate(bindings));
      return allocated;
    } catch (error) {
      for (const group of allocated) this.#release(group);
      throw error;
    }
  }

  /** The same port on several addresses; routed bindings have none. */
  #allocate(bindings: readonly Binding[]): Group {
    const held = bindings.filter((binding) => !binding.isRouted);
    const [first] = held;
    if (first === undefined) return { bindings, hostPort: 0 };
    const addresses = held.map(({ host }) => host);
    if (first.protocol === "tcp" && overlap(addresses)) {
      throw new PortError("failed to listen on TCP socket: address already in use");
    }
    return { bindings, hostPort: this.#allocator.allocate(addresses, first.protocol, first.hostPorts) };
  }

  #release({ bindings, hostPort }: Group): void {
    for (const { host, protocol, isRouted: isFree } of bindings) {
      if (!isFree) this.#allocator.release(host, protocol, hostPort);
    }
  }

  /** A random port that turns out to be taken is replaced by another one; a fixed one is refused. */
  #chooseAgain(groups: Group[], error: unknown, isLast: boolean): void {
    if (!(error instanceof RelayError)) throw error;
    let index = error.index;
    const at = groups.findIndex((group) => {
      const count = heldPorts(group).length;
      if (index < count) return true;
      index -= count;
      return false;
    });
    const group = groups[at];
    const binding = group?.bindings.filter((candidate) => !candidate.isRouted)[index];
    if (group === undefined || binding === undefined) throw error;
    const { hostPorts } = binding;
    const isFixed = hostPorts !== undefined && !isRange(binding);
    if (isFixed || isLast) throw bindError(binding, group.hostPort, error);
    // The next one is taken before this one is given back: a search does not return to it.
    const next = this.#allocate(group.bindings);
    this.#release(group);
    groups[at] = next;
  }
}

interface Binding {
  readonly protocol: Protocol;
  readonly containerPort: number;
  readonly hostPorts: PortRange | undefined;
  readonly host: Address;
  readonly container: Address;
  readonly isRouted: boolean;
  readonly isDirect: boolean;
}

/** Bindings that get one port. */
interface Group {
  readonly bindings: readonly Binding[];
  readonly hostPort: number;
}

/** One request is one binding a family; a family in which the container has no address falls away. */
function bindingsOf(request: PortRequest, owner: PortOwner, isProxied: boolean): Binding[] {
  const { protocol, containerPort, hostPorts } = request;
  const host = request.hostAddress ?? owner.defaultHostAddress;
  const isEverywhere = request.hostAddress === undefined && host.family === 4 && host.value === 0n;
  const hosts = isEverywhere ? [any4, any6] : [host];
  return hosts.flatMap((address) => {
    const proxied = isProxied ? owner.address4 : undefined;
    const container = address.family === 4 ? owner.address4 : (owner.address6 ?? proxied);
    if (container === undefined) return [];
    const isOwn = container.family === address.family && (address.family === 4 ? owner.isRouted4 : owner.isRouted6);
    // There is no port of the host, so there is no address of the host either.
    const shown = isOwn ? (address.family === 4 ? any4 : any6) : address;
    return [
      {
        protocol,
        containerPort,
        hostPorts,
        host: shown,
        container,
        isRouted: isOwn,
        isDirect: isOwn || owner.isDirect,
      },
    ];
  });
}

const publishedPorts = ({ bindings, hostPort }: Group): PublishedPort[] =>
  bindings.map(({ protocol, containerPort, host, container, isRouted: isOwn, isDirect }) => ({
    ...{ protocol, containerPort, host, container, isDirect },
    hostPort: isOwn ? 0 : hostPort,
    kind: isOwn ? "routed" : "held",
  }));

const heldPorts = (group: Group): PublishedPort[] => publishedPorts(group).filter((port) => !isRouted(port));

const heldPort = (port: PublishedPort, isServed: boolean): HeldPort => ({
  id: idOf(port),
  protocol: port.protocol,
  host: port.host,
  hostPort: port.hostPort,
  target: port.container,
  targetPort: port.containerPort,
  isServed,
});

const idOf = ({ protocol, host, hostPort }: PortForward): string => `${bracketed(host)}:${hostPort}/${protocol}`;

const isRouted = ({ kind }: PublishedPort): boolean => kind === "routed";

/** The kernel's NAT does it: both ends are of one family. It cannot lead out of the machine what came from ::1. */
const isTranslated = (port: PublishedPort): boolean =>
  !isRouted(port) && port.host.family === port.container.family && !(port.host.family === 6 && isLoopback(port.host));

const protocolOrder: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** moby's cmpPortBinding: what differs only in the host's address is adjacent and gets the same port. */
function compareRequests(a: PortRequest, b: PortRequest): number {
  const isFlexible = ({ hostPorts }: PortRequest) =>
    Number(hostPorts === undefined || hostPorts.first !== hostPorts.last);
  return (
    isFlexible(a) - isFlexible(b) ||
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

/** Whether two of them cannot be listened at with the same port. Datagrams can: the kernel lets sockets share it. */
const overlap = (addresses: readonly Address[]): boolean =>
  addresses.some((a, i) => addresses.slice(i + 1).some((b) => collide(a, b)));

const bracketed = (address: Address): string =>
  address.family === 4 ? formatAddress(address) : `[${formatAddress(address)}]`;

/** moby's PortBinding.String: what was asked for, where a range was. */
function describe({ host, hostPorts, container, containerPort, protocol }: Binding): string {
  const asked = hostPorts === undefined ? "" : [...new Set([hostPorts.first, hostPorts.last])].join("-");
  return `${bracketed(host)}:${asked}:${bracketed(container)}:${containerPort}/${protocol}`;
}

function bindError(binding: Binding, hostPort: number, cause: RelayError): PortError {
  // A kernel without SCTP: dockerd finds out when its proxy listens.
  if (cause.code === "EPROTONOSUPPORT") {
    const reason = `failed to listen on ${bracketed(binding.host)}:${hostPort}: protocol not supported`;
    return new PortError(`error starting userland proxy: ${reason}`, { cause });
  }
  const port = isRange(binding) ? `${hostPort} for` : "for";
  return new PortError(`failed to bind host port ${port} ${describe(binding)}: ${errnoText(cause.code)}`, { cause });
}

const isRange = ({ hostPorts }: Pick<Binding, "hostPorts">): boolean =>
  hostPorts !== undefined && hostPorts.first !== hostPorts.last;

/** A host address of `-p`: empty is undefined, and anything that is no address as well, as Go's ParseIP has it. */
export const parseHostAddress = (text: string): Address | undefined => (text === "" ? undefined : parseAddress(text));
