import { createSocket, type Socket as DatagramSocket, type RemoteInfo } from "node:dgram";
import { closeSync } from "node:fs";
import { connect, createServer, isIPv6, type Server, type Socket } from "node:net";
import { pipeline } from "node:stream";

/** Where a forwarder sends what it gets. */
export interface Target {
  readonly address: string;
  readonly port: number;
}

/** What the kernel's NAT cannot do: from one IP family to the other. It lives in the daemon's event loop. */
export interface Forwarder {
  close(): void;
}

/** So much later than the start of a container, which must not wait for it; until then the kernel's queue keeps who comes. */
const startDelayMs = 20;

/** Takes over a bound socket (a listening one for TCP), in a moment. */
export function forwardLater(fd: number, protocol: "tcp" | "udp", target: Target): Forwarder {
  let forwarder: Forwarder | undefined;
  const timer = setTimeout(() => {
    forwarder = protocol === "tcp" ? forwardStreams(fd, target) : forwardDatagrams(fd, target);
  }, startDelayMs).unref();
  return {
    close() {
      clearTimeout(timer);
      if (forwarder === undefined) closeSync(fd);
      else forwarder.close();
    },
  };
}

/** How long a UDP exchange is remembered after its last datagram, as conntrack does. */
const datagramIdleMs = 30_000;
const flowLimit = 1024;

/** Takes over a bound and listening TCP socket. */
function forwardStreams(fd: number, target: Target): Forwarder {
  const open = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    const upstream = connect({ host: target.address, port: target.port, allowHalfOpen: true });
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.setNoDelay(true).on("close", () => open.delete(socket));
    }
    // A reset on one side ends the other; there is nobody to tell.
    pipeline(client, upstream, () => undefined);
    pipeline(upstream, client, () => undefined);
    upstream.on("error", () => client.destroy());
    client.on("error", () => upstream.destroy());
  });
  server.on("error", () => undefined);
  server.listen({ fd, exclusive: true });
  server.unref();
  return {
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

interface Flow {
  readonly upstream: DatagramSocket;
  idle: NodeJS.Timeout;
}

/** Takes over a bound UDP socket. Each client has a socket of its own towards the container, so that answers find back. */
function forwardDatagrams(fd: number, target: Target): Forwarder {
  const front = createSocket("udp6");
  const flows = new Map<string, Flow>();
  const end = (key: string) => {
    const flow = flows.get(key);
    flows.delete(key);
    clearTimeout(flow?.idle);
    flow?.upstream.close();
  };
  const begin = (key: string, client: RemoteInfo): Flow | undefined => {
    if (flows.size >= flowLimit) return undefined;
    const upstream = createSocket(isIPv6(target.address) ? "udp6" : "udp4");
    upstream.unref().on("error", () => end(key));
    upstream.on("message", (datagram) => front.send(datagram, client.port, client.address, () => undefined));
    const flow: Flow = { upstream, idle: setTimeout(() => end(key), datagramIdleMs).unref() };
    flows.set(key, flow);
    return flow;
  };
  front.on("error", () => undefined);
  front.on("message", (datagram, client) => {
    const key = `${client.address} ${client.port}`;
    const flow = flows.get(key) ?? begin(key, client);
    flow?.idle.refresh();
    flow?.upstream.send(datagram, target.port, target.address, () => undefined);
  });
  front.bind({ fd, exclusive: true });
  front.unref();
  return {
    close() {
      for (const key of [...flows.keys()]) end(key);
      front.close();
    },
  };
}
