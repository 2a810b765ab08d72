import { chmod, chown, rm } from "node:fs/promises";
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerOptions } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { isIP, type ListenOptions, type Socket } from "node:net";
import { hostname } from "node:os";
import type { TlsOptions } from "node:tls";
import { errorBody } from "./errors.ts";
import { foreignPage } from "./foreign-page.ts";
import { answerPlainHttp } from "./http-on-tls.ts";
import { protocolFault, unknownEncoding } from "./protocol-fault.ts";
import { type Routing, routeUpgrade } from "./upgrade.ts";
import { DockerRequest, DockerResponse, hasBody, leavesHttp } from "./wire.ts";

export type ListenAddress =
  | { readonly kind: "unix"; readonly path: string; readonly mode: number; readonly gid: number }
  | ({ readonly kind: "tcp"; readonly host: string; readonly tls?: TlsOptions } & (
      | { readonly port: number }
      | ActivatedSocket
    ))
  | ({ readonly kind: "fd" } & ActivatedSocket);

/** It is listening already (systemd's socket activation), and its path is not ours to remove. */
interface ActivatedSocket {
  readonly fd: number;
}

/** dockerd's read-header timeout, and none for bodies and idle connections: `docker load` may take an hour. */
const headersTimeoutMs = 5 * 60_000;
/** Go's default. Build arguments and registry credentials travel in the request line and in headers. */
const maxHeaderBytes = 1 << 20;

/** Who comes when it is full is refused at once on a unix socket. Go asks for net.core.somaxconn, which is this. */
const backlog = 4096;

/** One listening socket of the API. */
export class Listener implements AsyncDisposable {
  readonly #server: Server;
  readonly #address: ListenAddress;
  /** Connections that HTTP has let go of; the server no longer counts them. */
  readonly #streams = new Set<Socket>();

  private constructor(server: Server, address: ListenAddress) {
    this.#server = server;
    this.#address = address;
  }

  static async open(address: ListenAddress, routing: Routing): Promise<Listener> {
    const server = createServer(address);
    const listener = new Listener(server, address);
    listener.#serve(routing);
    if (address.kind === "unix") await rm(address.path, { force: true });
    await listen(server, address);
    if (address.kind === "unix") await restrict(address);
    return listener;
  }

  /** The port that was given, for port 0. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  get #isTls(): boolean {
    return this.#address.kind === "tcp" && this.#address.tls !== undefined;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const stream of this.#streams) stream.destroy();
    this.#server.closeAllConnections();
    await closed;
    if (this.#address.kind === "unix") await rm(this.#address.path, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #serve(routing: Routing): void {
    const refusal = refusalFor(this.#address);
    if (this.#isTls) answerPlainHttp(this.#server);
    this.#server.on("request", (request, response: DockerResponse) => {
      const fault = protocolFault(request);
      if (fault !== undefined) return void request.socket.end(plainRefusal(fault));
      const reason = refusal(request);
      if (reason === undefined) routing(request, response);
      else response.writeHead(403, { "content-type": "application/json" }).end(errorBody(reason));
    });
    // Go asks for a body only where there is one.
    this.#server.on("checkContinue", (request, response: DockerResponse) => {
      if (hasBody(request)) response.writeContinue();
      this.#server.emit("request", request, response);
    });
    this.#server.on("checkExpectation", (_request, response: DockerResponse) => {
      response.writeHead(417, { connection: "close", "content-length": 0 }).end();
    });
    this.#server.on("upgrade", (request, socket: Socket, head) => {
      const fault = protocolFault(request) ?? (refusal(request) === undefined ? undefined : "403 Forbidden");
      // Node has taken its own listener off: without one, a client that resets the connection now would end the process.
      if (fault !== undefined) return void socket.on("error", () => socket.destroy()).end(plainRefusal(fault));
      const forget = () => this.#streams.delete(socket);
      this.#streams.add(socket);
      socket.once("close", forget);
      const resume = () => {
        socket.off("close", forget);
        forget();
        this.#server.emit(this.#isTls ? "secureConnection" : "connection", socket);
      };
      routeUpgrade(routing, request, { socket, head, resume });
    });
    this.#server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
      // Bytes behind a request that said Connection: close, whose answer may be on its way.
      if (error.code === "HPE_CLOSED_CONNECTION") return;
      const reason = error.code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large" : "400 Bad Request";
      if (socket.writable) socket.end(plainRefusal(reason));
      else socket.destroy();
    });
  }
}

/** As Go's server answers what it cannot or will not read as a request. */
function plainRefusal(status: string): string {
  const text = status === unknownEncoding ? "Unsupported transfer encoding" : status;
  return `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${text}`;
}

function createServer(address: ListenAddress): Server {
  const options: ServerOptions<typeof DockerRequest, typeof DockerResponse> = {
    IncomingMessage: DockerRequest,
    ServerResponse: DockerResponse,
    shouldUpgradeCallback: leavesHttp,
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: headersTimeoutMs,
    requestTimeout: 0,
    keepAliveTimeout: 0,
    // Its refusal is not Go's: protocolFault has it.
    requireHostHeader: false,
  };
  const tls = address.kind === "tcp" ? address.tls : undefined;
  const server =
    tls === undefined ? createHttpServer(options) : createHttpsServer({ ...tls, ...options, allowHalfOpen: true });
  // A client that sends its request and closes its side still gets the answer, as from Go.
  return Object.assign(server, { httpAllowHalfOpen: true });
}

function listen(server: Server, address: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(listenOptions(address), () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function listenOptions(address: ListenAddress): ListenOptions & { fd?: number } {
  if ("fd" in address) return { fd: address.fd };
  const place = address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port };
  return { ...place, backlog };
}

/** Until here only root could connect: a new socket is writable for its owner alone. */
async function restrict({ path, gid, mode }: ListenAddress & { kind: "unix" }): Promise<void> {
  await chown(path, 0, gid);
  await chmod(path, mode);
}

/**
 * On TCP a browser on this host could be made to talk to us; a unix socket it cannot open. With TLS it sees by itself that
 * our certificate is not for the name that it was led here by, and to our clients we may have names that we do not know.
 */
function refusalFor(address: ListenAddress): (request: IncomingMessage) => string | undefined {
  if (address.kind !== "tcp") return () => undefined;
  if (address.tls !== undefined) return ({ headers }) => foreignPage(headers);
  const names = new Set(["localhost", hostname().toLowerCase()]);
  if (isIP(address.host) === 0) names.add(address.host.toLowerCase());
  return ({ headers }) => foreignPage(headers, names);
}
