import { errnoOf } from "#base/errors";
import type { Log } from "#base/log";
import { type Address, formatAddress } from "./address.ts";
import { redirectDns } from "./dns-redirect.ts";
import type { Namespaces } from "./namespaces.ts";
import { numberIn, RelayConnection, textsIn } from "./relay-connection.ts";

/** A container on a network, as the others there find it. */
export interface NamedEndpoint {
  readonly id: string;
  readonly network: string;
  /** In lower case; the first one is what its addresses resolve to. */
  readonly names: readonly string[];
  readonly addresses: readonly Address[];
}

/** A server that is asked about the rest of the world. The host's are asked from the host, those of `--dns` from the sandbox. */
export interface Upstream {
  readonly address: Address;
  readonly isHosts: boolean;
}

/** What one sandbox may see at 127.0.0.11. */
export interface Resolver {
  readonly id: string;
  /** Path of the sandbox's namespace. */
  readonly key: string;
  /** In the order of the search; `links` are names that only this sandbox knows, by alias. */
  readonly networks: readonly {
    readonly id: string;
    readonly name: string;
    readonly links: Readonly<Record<string, string>>;
  }[];
  readonly upstreams: readonly Upstream[];
  /** Somebody has chosen `ndots`: a name without a dot is not passed on. */
  readonly isNdotsSet: boolean;
  /** False on internal networks: what the host's servers would say is not for them. */
  readonly canForward: boolean;
}

/** A port of the host that is kept from others; what the kernel's NAT does not take goes to the target by the relay. */
export interface HeldPort {
  readonly id: string;
  readonly protocol: string;
  readonly host: Address;
  readonly hostPort: number;
  readonly target: Address;
  readonly targetPort: number;
  /** False: it is held and nothing more. */
  readonly isServed: boolean;
}

export interface RelayOptions {
  readonly socket: string;
  /** Starts a minirelay; its socket listens when this resolves. */
  readonly launch: (socket: string) => Promise<unknown>;
  /** Ends the one that serves the socket, whatever it does; its ports are free when this resolves. */
  readonly kill: (socket: string) => Promise<void>;
  readonly namespaces: Namespaces;
  readonly log: Log;
}

/**
 * The daemon's side of minirelay, the process that answers names and holds ports while the daemon is away. What it is told
 * is kept here, too: a relay that was killed is replaced by one that knows the same.
 */
export class Relay {
  readonly #options: RelayOptions;
  readonly #endpoints = new Map<string, NamedEndpoint>();
  readonly #resolvers = new Map<string, Resolver>();
  readonly #ports = new Map<string, HeldPort>();
  /** What an earlier life of the daemon told it, and this one has not said again. */
  #unclaimed = nothing();
  /** Itself once it is there: a request is on its way when the call returns. */
  #connection: RelayConnection | Promise<RelayConnection> | undefined;
  #isClosed = false;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  /** Takes over the relay that is there. What it knows goes on working until `dropUnclaimed`. One that is stuck is replaced. */
  async open(): Promise<void> {
    const { socket, kill, log } = this.#options;
    try {
      const connection = await RelayConnection.open(socket);
      await this.#takeOver(connection);
    } catch (error) {
      const code = errnoOf(error) ?? "";
      if (!["ENOENT", "ECONNREFUSED", "EAGAIN", "ETIMEDOUT"].includes(code)) throw error;
      if (code === "EAGAIN" || code === "ETIMEDOUT") {
        log.error({ socket }, "minirelay does not answer and is replaced");
        await kill(socket);
      }
      await this.#connect();
    }
  }

  async #takeOver(connection: RelayConnection): Promise<void> {
    try {
      const known = await connection.request({ op: "list" });
      const ids = (name: string) => new Set(textsIn(known, name));
      this.#unclaimed = { endpoints: ids("endpoints"), resolvers: ids("resolvers"), ports: ids("ports") };
    } catch (error) {
      connection.close();
      throw error;
    }
    this.#watch(connection);
    this.#connection = connection;
  }

  /** Who was there before and is nobody's now. */
  async dropUnclaimed(): Promise<void> {
    const { endpoints, resolvers, ports } = this.#unclaimed;
    this.#unclaimed = nothing();
    await this.#drop({ endpoints: [...endpoints], resolvers: [...resolvers], ports: [...ports] });
  }

  /** In place of one with the same id. Requests are served in order: whoever asks for the name later finds it. */
  putEndpoint(endpoint: NamedEndpoint): void {
    this.#endpoints.set(endpoint.id, endpoint);
    this.#unclaimed.endpoints.delete(endpoint.id);
    this.#request(endpointRequest(endpoint)).catch((err: unknown) => this.#warn(err));
  }

  dropEndpoint(id: string): void {
    if (this.#endpoints.delete(id)) this.#drop({ endpoints: [id] }).catch((err: unknown) => this.#warn(err));
  }

  hasResolver(id: string): boolean {
    return this.#resolvers.has(id) || this.#unclaimed.resolvers.has(id);
  }

  /** Opens the resolver of a sandbox, or tells an open one what has changed. `isNew`: it is the sandbox's first. */
  async putResolver(resolver: Resolver, { isNew }: { readonly isNew: boolean }): Promise<void> {
    const { id, key } = resolver;
    const isTold = this.#resolvers.has(id);
    const isClaimed = this.#unclaimed.resolvers.delete(id);
    this.#resolvers.set(id, resolver);
    const answer = await this.#request(resolverRequest(resolver));
    const ports = { udp: numberIn(answer, "udp"), tcp: numberIn(answer, "tcp") };
    if (isTold) return;
    try {
      this.#options.namespaces.enter(key, () => redirectDns(ports, isNew || isClaimed));
    } catch (error) {
      // The daemon before may have died behind this line, or a relay that was killed has been replaced, and knows the resolver.
      if (errnoOf(error) !== "EEXIST") throw error;
    }
  }

  async dropResolver(id: string): Promise<void> {
    if (this.#resolvers.delete(id)) await this.#drop({ resolvers: [id] });
  }

  /** All of them or none: throws a RelayError whose `index` says which one cannot be had. */
  async holdPorts(ports: readonly HeldPort[]): Promise<void> {
    if (ports.length === 0) return;
    try {
      await this.#request({ op: "ports", ports: ports.map(portRequest) });
    } catch (error) {
      // One that was only late has them.
      if (errnoOf(error) === "ETIMEDOUT") void this.#drop({ ports: ports.map(({ id }) => id) }).catch(() => undefined);
      throw error;
    }
    for (const port of ports) {
      this.#ports.set(port.id, port);
      this.#unclaimed.ports.delete(port.id);
    }
  }

  /** They are free for others when this resolves. */
  async dropPorts(ids: readonly string[]): Promise<void> {
    const known = ids.filter((id) => this.#ports.delete(id));
    await this.#drop({ ports: known });
  }

  /** With `isOver` the relay ends, too: nothing is left to be served. */
  async close({ isOver }: { readonly isOver: boolean }): Promise<void> {
    const connection = await Promise.resolve(this.#connection).catch(() => undefined);
    this.#isClosed = true;
    if (isOver) await connection?.request({ op: "end" }).catch((err: unknown) => this.#warn(err));
    connection?.close();
  }

  async #drop(ids: {
    readonly endpoints?: readonly string[];
    readonly resolvers?: readonly string[];
    readonly ports?: readonly string[];
  }): Promise<void> {
    if (Object.values(ids).some((list) => list.length > 0)) await this.#request({ op: "drop", ...ids });
  }

  async #request(request: object) {
    const connection = this.#connection ?? this.#connect();
    return connection instanceof RelayConnection ? connection.request(request) : (await connection).request(request);
  }

  #watch(connection: RelayConnection): void {
    connection.onClose(() => {
      this.#connection = undefined;
      if (this.#isClosed) return;
      this.#options.log.error({ socket: this.#options.socket }, "minirelay ended and is started again");
      this.#connect().catch((err: unknown) => this.#warn(err));
    });
  }

  /** A new relay, which is told everything before any other request. */
  #connect(): Promise<RelayConnection> {
    const connecting = this.#launch();
    this.#connection = connecting;
    const settle = (connection: RelayConnection | undefined) => {
      if (this.#connection === connecting) this.#connection = connection;
    };
    connecting.then(settle, () => settle(undefined));
    return connecting;
  }

  async #launch(): Promise<RelayConnection> {
    this.#unclaimed = nothing();
    await this.#options.launch(this.#options.socket);
    const connection = await RelayConnection.open(this.#options.socket);
    this.#watch(connection);
    for (const endpoint of this.#endpoints.values()) await connection.request(endpointRequest(endpoint));
    for (const resolver of this.#resolvers.values()) await this.#revive(connection, resolver);
    for (const port of this.#ports.values()) {
      await connection.request({ op: "ports", ports: [portRequest(port)] }).catch((err: unknown) => this.#warn(err));
    }
    return connection;
  }

  async #revive(connection: RelayConnection, resolver: Resolver): Promise<void> {
    try {
      const answer = await connection.request(resolverRequest(resolver));
      const ports = { udp: numberIn(answer, "udp"), tcp: numberIn(answer, "tcp") };
      this.#options.namespaces.enter(resolver.key, () => redirectDns(ports, false));
    } catch (error) {
      this.#warn(error);
    }
  }

  #warn(err: unknown): void {
    this.#options.log.warn({ err }, "minirelay does not do what it was asked");
  }
}

const nothing = () => ({
  endpoints: new Set<string>(),
  resolvers: new Set<string>(),
  ports: new Set<string>(),
});

const endpointRequest = ({ id, network, names, addresses }: NamedEndpoint): object => ({
  op: "endpoint",
  id,
  network,
  names,
  addresses: addresses.map(formatAddress),
});

const resolverRequest = ({ key, upstreams, ...resolver }: Resolver): object => ({
  op: "resolver",
  namespace: key,
  ...resolver,
  upstreams: upstreams.map(({ address, isHosts }) => ({ address: formatAddress(address), isHosts })),
});

const portRequest = ({ host, target, ...port }: HeldPort): object => ({
  ...port,
  host: formatAddress(host),
  target: formatAddress(target),
});
