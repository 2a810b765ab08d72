import { createSocket } from "node:dgram";
import { connect, Socket } from "node:net";
import { errnoOf } from "#base/errors";
import {
  AF_INET,
  AF_INET6,
  connect as connectNow,
  inetAddress,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  socket,
} from "#native";
import { type Address, formatAddress } from "../address.ts";
import type { Namespaces } from "../namespaces.ts";
import { takeFrames } from "./stream.ts";

/** A server that the resolver asks. The host's are asked from the host, those of `--dns` from the container's network. */
export interface Upstream {
  readonly address: Address;
  readonly isHosts: boolean;
}

export interface Route {
  readonly namespaces: Namespaces;
  /** Path of the container's namespace. */
  readonly key: string;
}

const dnsPort = 53;
const patienceMs = 4000;

/** Passes a query on as it is, from a port of its own; undefined when no answer comes. */
export function ask(upstream: Upstream, query: Buffer, isStream: boolean, route: Route): Promise<Buffer | undefined> {
  return isStream ? askByStream(upstream, query, route) : askByDatagram(upstream, query, route);
}

function askByDatagram(upstream: Upstream, query: Buffer, route: Route): Promise<Buffer | undefined> {
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  const isIpv6 = upstream.address.family === 6;
  const client = createSocket(isIpv6 ? "udp6" : "udp4");
  const end = (answer: Buffer | undefined) => {
    clearTimeout(timer);
    client.close();
    resolve(answer);
  };
  const timer = setTimeout(() => end(undefined), patienceMs);
  client.on("error", () => end(undefined));
  client.on("message", (answer, { address, port }) => {
    const isAnswer = port === dnsPort && answer.length >= 12 && answer.readUInt16BE(0) === query.readUInt16BE(0);
    if (isAnswer && sameAddress(address, upstream.address)) end(answer);
  });
  const send = () => client.send(query, dnsPort, formatAddress(upstream.address), (error) => error && end(undefined));
  if (upstream.isHosts) send();
  else {
    client.once("listening", send);
    client.bind({ fd: openInside(upstream, SOCK_DGRAM, route), exclusive: true });
  }
  return promise;
}

const sameAddress = (text: string, address: Address): boolean => text === formatAddress(address);

async function askByStream(upstream: Upstream, query: Buffer, route: Route): Promise<Buffer | undefined> {
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  const client = upstream.isHosts
    ? connect(dnsPort, formatAddress(upstream.address))
    : new Socket({ fd: connectInside(upstream, route), readable: true, writable: true });
  client.setTimeout(patienceMs, () => client.destroy());
  client.on("error", () => undefined);
  client.on("close", () => resolve(undefined));
  takeFrames(client, (answer) => {
    resolve(answer);
    client.destroy();
  });
  const length = Buffer.alloc(2);
  length.writeUInt16BE(query.length);
  client.write(Buffer.concat([length, query]));
  return promise;
}

const familyOf = ({ address }: Upstream): number => (address.family === 4 ? AF_INET : AF_INET6);

function openInside(upstream: Upstream, type: number, { namespaces, key }: Route): number {
  return namespaces.enter(key, () => socket(familyOf(upstream), type | SOCK_NONBLOCK));
}

function connectInside(upstream: Upstream, route: Route): number {
  const fd = openInside(upstream, SOCK_STREAM, route);
  try {
    connectNow(fd, inetAddress(formatAddress(upstream.address), dnsPort));
  } catch (error) {
    if (errnoOf(error) !== "EINPROGRESS") throw error;
  }
  return fd;
}
