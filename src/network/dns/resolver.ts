import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { closeSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { messageOf } from "#base/errors";
import type { Log } from "#base/log";
import {
  AF_INET,
  bind,
  getsockname,
  inetAddress,
  listen,
  portOf,
  SO_RCVBUF,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  setsockopt,
  socket,
} from "#native";
import type { Address, Family } from "../address.ts";
import type { Namespaces } from "../namespaces.ts";
import {
  type Answer,
  addressOfPointer,
  answerOf,
  codeOf,
  failureOf,
  parseQuery,
  type Query,
  responseCodes,
  types,
} from "./message.ts";
import { redirectDns } from "./redirect.ts";
import { frame, takeFrames } from "./stream.ts";
import { ask, type Upstream } from "./upstream.ts";

/** Who is who on the networks of one container. */
export interface Names {
  /** Undefined when there is no such name; empty when there is, without an address of this family. */
  addresses(name: string, family: Family): readonly Address[] | undefined;
  nameOf(address: Address): string | undefined;
}

export interface ResolverOptions {
  readonly namespaces: Namespaces;
  /** Path of the namespace that is served. */
  readonly key: string;
  readonly names: Names;
  readonly upstreams: readonly Upstream[];
  /** Somebody has chosen `ndots`: a name without a dot is not passed on. */
  readonly isNdotsSet: boolean;
  readonly canForward: boolean;
  readonly log: Log;
}

const address = "127.0.0.11";
/** moby's limit of queries under way to upstream servers. */
const forwardLimit = 1024;

/**
 * The resolver of one container at 127.0.0.11. Its sockets are in the container's namespace, on ports of the kernel's choice,
 * and port 53 leads there: the container may have a name server of its own on every other address. The daemon answers.
 */
export class Resolver {
  /** False on internal networks: what the host's servers would say is not for them. */
  canForward: boolean;
  readonly #options: ResolverOptions;
  readonly #datagrams: DatagramSocket;
  readonly #streams: Server;
  readonly #open = new Set<Socket>();
  #forwarding = 0;

  private constructor(options: ResolverOptions, datagrams: DatagramSocket, streams: Server) {
    this.#options = options;
    this.canForward = options.canForward;
    this.#datagrams = datagrams;
    this.#streams = streams;
  }

  static open(options: ResolverOptions): Resolver {
    const fds = options.namespaces.enter(options.key, openSockets);
    const datagrams = createSocket("udp4");
    const streams = createServer({ allowHalfOpen: true });
    const resolver = new Resolver(options, datagrams, streams);
    datagrams.on("error", (err) => options.log.warn({ err }, "a container's resolver failed"));
    datagrams.on("message", (message, client) => {
      resolver.#serve(message, false, (answer) => datagrams.send(answer, client.port, client.address, () => undefined));
    });
    streams.on("error", (err) => options.log.warn({ err }, "a container's resolver failed"));
    streams.on("connection", (client) => resolver.#accept(client));
    datagrams.bind({ fd: fds.datagram, exclusive: true }).unref();
    streams.listen({ fd: fds.stream, exclusive: true }).unref();
    return resolver;
  }

  close(): void {
    this.#datagrams.close();
    this.#streams.close();
    for (const client of this.#open) client.destroy();
  }

  #accept(client: Socket): void {
    this.#open.add(client);
    client.setTimeout(10_000, () => client.destroy());
    client.on("error", () => undefined).on("close", () => this.#open.delete(client));
    client.on("end", () => client.end());
    takeFrames(client, (message) => {
      this.#serve(message, true, (answer) => client.write(frame(answer)));
    });
  }

  #serve(message: Buffer, isStream: boolean, reply: (answer: Buffer) => void): void {
    const query = parseQuery(message);
    if (query === undefined) return;
    const answers = this.#find(query);
    const isSearchedFor = query.type === types.A || query.type === types.AAAA;
    // With ndots the client goes on with its search domains: a bare name is not for the world.
    const isBare = isSearchedFor && this.#options.isNdotsSet && !query.name.includes(".");
    if (answers !== undefined || isBare) {
      reply(answerOf(query, answers ?? [], isStream));
      return;
    }
    this.#forward(query, Buffer.from(message), isStream).then(reply, (err: unknown) => {
      this.#options.log.debug({ err: messageOf(err) }, "a name query could not be passed on");
      reply(failureOf(query, responseCodes.serverFailure));
    });
  }

  /** Undefined: not ours to say. */
  #find(query: Query): Answer[] | undefined {
    const { names } = this.#options;
    const addressAnswers = (family: Family) =>
      names.addresses(query.name, family)?.map((found) => ({ type: "address" as const, address: found }));
    switch (query.type) {
      case types.A:
        return shuffle(addressAnswers(4));
      case types.AAAA:
        return shuffle(addressAnswers(6));
      case types.MX:
        // A container is its own mail host: no record, and the client asks for its address.
        return names.addresses(query.name, 4) === undefined ? undefined : [];
      case types.PTR: {
        const asked = addressOfPointer(query.name);
        const name = asked === undefined ? undefined : names.nameOf(asked);
        return name === undefined ? undefined : [{ type: "name", name }];
      }
      default:
        return undefined;
    }
  }

  async #forward(query: Query, message: Buffer, isStream: boolean): Promise<Buffer> {
    if (this.#forwarding >= forwardLimit) return failureOf(query, responseCodes.refused);
    this.#forwarding += 1;
    try {
      // A server of `--dns` may be on the internal network itself; the host's are behind a border.
      for (const upstream of this.#options.upstreams.filter(({ isHosts }) => this.canForward || !isHosts)) {
        const answer = await ask(upstream, message, isStream, this.#options);
        const code = answer === undefined ? responseCodes.serverFailure : codeOf(answer);
        if (answer !== undefined && code !== responseCodes.serverFailure && code !== responseCodes.refused)
          return answer;
      }
      return failureOf(query, responseCodes.serverFailure);
    } finally {
      this.#forwarding -= 1;
    }
  }
}

/** Runs inside the namespace. */
function openSockets(): { readonly datagram: number; readonly stream: number } {
  const datagram = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK);
  const stream = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
  try {
    // A burst of queries waits in the kernel rather than being lost.
    setsockopt(datagram, SOL_SOCKET, SO_RCVBUF, 1024 * 1024);
    bind(datagram, inetAddress(address, 0));
    bind(stream, inetAddress(address, 0));
    listen(stream, 511);
    redirectDns({ udp: portOf(getsockname(datagram)), tcp: portOf(getsockname(stream)) });
    return { datagram, stream };
  } catch (error) {
    closeSync(datagram);
    closeSync(stream);
    throw error;
  }
}

/** Round robin by lot, as moby does it. */
function shuffle<T>(items: T[] | undefined): T[] | undefined {
  if (items === undefined) return undefined;
  for (let i = items.length - 1; i > 0; i -= 1) {
    const j = Math.floor(Math.random() * (i + 1));
    const [a, b] = [items[i], items[j]];
    if (a === undefined || b === undefined) continue;
    [items[i], items[j]] = [b, a];
  }
  return items;
}
