import { createSocket } from "node:dgram";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { errnoOf, messageOf } from "#base/errors";

/**
 * Node's network errors in the words of Go's net and crypto packages: clients and scripts know
 * `dial tcp 127.0.0.1:1: connect: connection refused`.
 */
export async function describeNetworkFault(error: unknown, url: URL): Promise<string> {
  const root = rootOf(error);
  if (root instanceof Error && root.name === "TimeoutError") {
    return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
  }
  const code = errnoOf(root) ?? "";
  if (lookupCodes.has(code)) return `dial tcp: ${await describeLookup(url.hostname, code)}`;
  const known = describeTls(root, code, url) ?? describeHttp(root, code);
  if (known !== undefined) return known;
  const words = systemWords[code];
  if (words !== undefined && isConnect(root)) return `dial tcp ${remoteOf(root, url)}: connect: ${words}`;
  if (code === "ECONNRESET" && localOf(root) !== "") {
    return `read tcp ${localOf(root)}->${remoteOf(root, url)}: read: connection reset by peer`;
  }
  return plainWords[code] ?? words ?? messageOf(root);
}

const lookupCodes = new Set(["ENOTFOUND", "EAI_AGAIN", "EAI_NODATA", "EAI_NONAME", "EAI_FAIL"]);
const systemWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by peer",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ETIMEDOUT: "connection timed out",
  EACCES: "permission denied",
  EADDRNOTAVAIL: "cannot assign requested address",
};
const plainWords: Readonly<Record<string, string>> = {
  UND_ERR_SOCKET: "EOF",
  UND_ERR_CONNECT_TIMEOUT: "dial tcp: i/o timeout",
  UND_ERR_HEADERS_TIMEOUT: "net/http: timeout awaiting response headers",
  UND_ERR_BODY_TIMEOUT: "i/o timeout",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "unexpected EOF",
  EPIPE: "write: broken pipe",
};

/** undici and the happy-eyeballs dialler wrap what happened; the first cause is what Go reports. */
function rootOf(error: unknown): unknown {
  if (error instanceof AggregateError && error.errors.length > 0) return rootOf(error.errors[0]);
  const isWrapper = error instanceof TypeError || errnoOf(error) === undefined;
  return error instanceof Error && error.cause instanceof Error && isWrapper ? rootOf(error.cause) : error;
}

const isConnect = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "syscall" in error && error.syscall === "connect";

function remoteOf(error: unknown, url: URL): string {
  const address = fieldOf(error, "address") ?? fieldOf(socketOf(error), "remoteAddress") ?? url.hostname;
  const port = fieldOf(error, "port") ?? fieldOf(socketOf(error), "remotePort") ?? (url.port || defaultPort(url));
  return isIP(String(address)) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

function localOf(error: unknown): string {
  const address = fieldOf(socketOf(error), "localAddress");
  return address === undefined ? "" : `${address}:${fieldOf(socketOf(error), "localPort")}`;
}

const defaultPort = (url: URL): string => (url.protocol === "https:" ? "443" : "80");
const socketOf = (error: unknown): unknown =>
  typeof error === "object" && error !== null && "socket" in error ? error.socket : undefined;

function fieldOf(value: unknown, name: string): string | number | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const field: unknown = Reflect.get(value, name);
  return typeof field === "string" || typeof field === "number" ? field : undefined;
}

/** Answers that are not HTTP. */
function describeHttp(error: unknown, code: string): string | undefined {
  if (code === "UND_ERR_HEADERS_OVERFLOW") return "net/http: server response headers too large";
  if (!isUnreadable(error)) return undefined;
  const [line = ""] = String(fieldOf(error, "data") ?? "").split(/\r?\n/, 1);
  return `net/http: HTTP/1.x transport connection broken: malformed HTTP response ${JSON.stringify(line)}`;
}

export const isUnreadable = (error: unknown): boolean => error instanceof Error && error.name === "HTTPParserError";

function describeTls(error: unknown, code: string, url: URL): string | undefined {
  const failed = (why: string) => `tls: failed to verify certificate: x509: ${why}`;
  switch (code) {
    case "ERR_SSL_WRONG_VERSION_NUMBER":
    case "ERR_SSL_PACKET_LENGTH_TOO_LONG":
    case "EPROTO":
      return "http: server gave HTTP response to HTTPS client";
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return failed("certificate signed by unknown authority");
    case "CERT_HAS_EXPIRED":
    case "CERT_NOT_YET_VALID":
      return failed("certificate has expired or is not yet valid");
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return failed(describeAltNames(error, url.hostname));
    default:
      return undefined;
  }
}

function describeAltNames(error: unknown, host: string): string {
  const cert = typeof error === "object" && error !== null && "cert" in error ? error.cert : undefined;
  const names = String(fieldOf(cert, "subjectaltname") ?? "").split(", ");
  const kind = isIP(host) === 0 ? "DNS:" : "IP Address:";
  const valid = names.filter((name) => name.startsWith(kind)).map((name) => name.slice(kind.length));
  if (isIP(host) !== 0 && valid.length === 0) {
    return `cannot validate certificate for ${host} because it doesn't contain any IP SANs`;
  }
  if (valid.length === 0) return `certificate is not valid for any names, but wanted to match ${host}`;
  return `certificate is valid for ${valid.join(", ")}, not ${host}`;
}

/** Go asks the name server itself and names it; libc's answer has to be told apart by asking whether it can be reached. */
async function describeLookup(host: string, code: string): Promise<string> {
  const server = await firstNameServer();
  const prefix = `lookup ${host} on ${isIP(server) === 6 ? `[${server}]` : server}:53`;
  if (code !== "EAI_AGAIN") return `${prefix}: no such host`;
  const refusal = systemWords[await probe(server)];
  if (refusal === undefined) return `${prefix}: server misbehaving`;
  const address = isIP(server) === 6 ? `[${server}]:53` : `${server}:53`;
  return `${prefix}: dial udp ${address}: connect: ${refusal}`;
}

async function firstNameServer(): Promise<string> {
  const text = await readFile("/etc/resolv.conf", "utf8").catch(() => "");
  return /^\s*nameserver\s+(\S+)/m.exec(text)?.[1] ?? "127.0.0.1";
}

/** Connecting a datagram socket sends nothing: it only asks the kernel for a route. */
function probe(server: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = createSocket(isIP(server) === 6 ? "udp6" : "udp4");
  // @types/node does not know that the callback takes the error.
  const settle = (error?: unknown) => resolve(errnoOf(error) ?? "");
  socket.once("error", settle);
  socket.connect(53, server, settle);
  return promise.finally(() => socket.close());
}
