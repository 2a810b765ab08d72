import { isIPv6, Socket } from "node:net";
import { endianness } from "node:os";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { addressOf, bind as bindFunction, check } from "./call.ts";

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_SEQPACKET = 5;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_SCTP = 132;
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
export const SOL_SOCKET = 1;
export const SOL_NETLINK = 270;
export const SO_REUSEADDR = 2;
export const SO_ERROR = 4;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_RCVTIMEO = 20;
export const SO_SNDTIMEO = 21;
export const SO_RCVBUFFORCE = 33;
export const SO_SNDBUFFORCE = 32;
export const IPV6_V6ONLY = 26;
export const MSG_PEEK = 2;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const SHUT_WR = 1;
const SCM_RIGHTS = 1;

const sysSocket = bindFunction("socket", "int", ["int", "int", "int"]);
/** Close-on-exec always. The caller owns the fd. */
export function socket(family: number, type: number, protocol = 0): number {
  return check(sysSocket(family, type | SOCK_CLOEXEC, protocol), "socket");
}

const sysBind = bindFunction("bind", "int", ["int", "void *", "uint"]);
export function bind(fd: number, address: Uint8Array): void {
  check(sysBind(fd, address, address.length), "bind");
}

const sysConnect = bindFunction("connect", "int", ["int", "void *", "uint"]);
export function connect(fd: number, address: Uint8Array): void {
  check(sysConnect(fd, address, address.length), "connect");
}

const sysListen = bindFunction("listen", "int", ["int", "int"]);
export function listen(fd: number, backlog: number): void {
  check(sysListen(fd, backlog), "listen");
}

const sysSendto = bindFunction("sendto", "long", ["int", "void *", "ulong", "int", "void *", "uint"]);
/** The number of bytes taken. Without an address the socket must be connected. */
export function sendto(fd: number, data: Uint8Array, flags = 0, address?: Uint8Array): number {
  const result = sysSendto(fd, data, data.length, flags | MSG_NOSIGNAL, address ?? null, address?.length ?? 0);
  return check(result, "sendto");
}

const sysSendmsg = bindFunction("sendmsg", "long", ["int", "void *", "int"]);
/** Sends the bytes and, with the first of them, a descriptor: the receiver gets one of its own for what it stands for. */
export function sendDescriptor(fd: number, data: Uint8Array, passed: number): number {
  // One piece of memory, alive as long as the call: struct msghdr (recvmsg(2)), iovec, cmsghdr (cmsg(3)), the data.
  const message = Buffer.alloc(96 + data.length);
  const at = addressOf(message);
  const words = [0n, 0n, at + 56n, 1n, at + 72n, 24n, 0n, at + 96n, BigInt(data.length), 20n];
  message.set(new Uint8Array(BigUint64Array.from(words).buffer));
  message.set(new Uint8Array(Int32Array.of(SOL_SOCKET, SCM_RIGHTS, passed).buffer), 80);
  message.set(data, 96);
  return check(sysSendmsg(fd, message, MSG_NOSIGNAL | MSG_DONTWAIT), "sendmsg");
}

const sysRecv = bindFunction("recv", "long", ["int", "void *", "ulong", "int"]);
/** The length received; with MSG_TRUNC in flags the datagram's real length, which may exceed the buffer's. */
export function recv(fd: number, buffer: Uint8Array, flags = 0): number {
  return check(sysRecv(fd, buffer, buffer.length, flags), "recv");
}

const sysGetsockname = bindFunction("getsockname", "int", ["int", "void *", "void *"]);
export function getsockname(fd: number): Buffer {
  const address = Buffer.alloc(128);
  const length = new Uint8Array(new Uint32Array([address.length]).buffer);
  check(sysGetsockname(fd, address, length), "getsockname");
  return address.subarray(0, new Uint32Array(length.buffer)[0]);
}

const sysSetsockopt = bindFunction("setsockopt", "int", ["int", "int", "int", "void *", "uint"]);
/** A number is passed as a C int. */
export function setsockopt(fd: number, level: number, option: number, value: number | Uint8Array): void {
  const bytes = typeof value === "number" ? new Uint8Array(new Int32Array([value]).buffer) : value;
  check(sysSetsockopt(fd, level, option, bytes, bytes.length), "setsockopt");
}

const sysGetsockopt = bindFunction("getsockopt", "int", ["int", "int", "int", "void *", "void *"]);
/** An option whose value is a C int. */
export function getsockopt(fd: number, level: number, option: number): number {
  const value = new Int32Array(1);
  const length = new Uint8Array(new Uint32Array([4]).buffer);
  check(sysGetsockopt(fd, level, option, new Uint8Array(value.buffer), length), "getsockopt");
  return value[0] ?? 0;
}

const sysShutdown = bindFunction("shutdown", "int", ["int", "int"]);
export function shutdown(fd: number, how: number): void {
  check(sysShutdown(fd, how), "shutdown");
}

/** Of a connection that Node holds. Undefined: it is closed, or its bytes are not those that its user sees. */
export function descriptorOf(stream: Duplex): number | undefined {
  if (!(stream instanceof Socket) || stream instanceof TLSSocket) return undefined;
  const handle: unknown = Reflect.get(stream, "_handle");
  if (typeof handle !== "object" || handle === null || !("fd" in handle)) return undefined;
  return typeof handle.fd === "number" && handle.fd >= 0 ? handle.fd : undefined;
}

const writeFamily = (address: Buffer, family: number): void => {
  if (endianness() === "LE") address.writeUInt16LE(family, 0);
  else address.writeUInt16BE(family, 0);
};

/** struct sockaddr_nl, netlink(7). Port id 0 lets the kernel choose. */
export function netlinkAddress(portId = 0, groups = 0): Buffer {
  const address = Buffer.alloc(12);
  writeFamily(address, AF_NETLINK);
  address.set(new Uint8Array(new Uint32Array([portId, groups]).buffer), 4);
  return address;
}

/** struct sockaddr_ll, packet(7), of where a frame shall go. */
export function packetAddress(to: {
  readonly protocol: number;
  readonly interfaceIndex: number;
  readonly destination: Uint8Array;
}): Buffer {
  const address = Buffer.alloc(20);
  writeFamily(address, AF_PACKET);
  address.writeUInt16BE(to.protocol, 2);
  address.set(new Uint8Array(new Int32Array([to.interfaceIndex]).buffer), 4);
  address[11] = to.destination.length;
  address.set(to.destination, 12);
  return address;
}

/** struct sockaddr_un, unix(7); a path that begins with `@` is a name in the abstract namespace. */
export function unixAddress(path: string): Buffer {
  const isAbstract = path.startsWith("@");
  const address = Buffer.alloc(2 + Buffer.byteLength(path) + (isAbstract ? 0 : 1));
  writeFamily(address, AF_UNIX);
  address.write(isAbstract ? `\0${path.slice(1)}` : path, 2);
  return address;
}

/** struct sockaddr_in or sockaddr_in6 of a literal address. */
export function inetAddress(ip: string, port: number): Buffer {
  return isIPv6(ip) ? inet6Address(ip, port) : inet4Address(ip, port);
}

function inet4Address(ip: string, port: number): Buffer {
  const address = Buffer.alloc(16);
  writeFamily(address, AF_INET);
  address.writeUInt16BE(port, 2);
  address.set(ip.split(".").map(Number), 4);
  return address;
}

function inet6Address(ip: string, port: number): Buffer {
  const address = Buffer.alloc(28);
  writeFamily(address, AF_INET6);
  address.writeUInt16BE(port, 2);
  address.set(ipv6Bytes(ip), 8);
  return address;
}

function ipv6Bytes(ip: string): Uint8Array {
  // URL's parser writes the canonical form: hex groups only, a dotted IPv4 tail included.
  const text = new URL(`http://[${ip}]/`).hostname.slice(1, -1);
  const [head = "", tail = ""] = text.split("::");
  const groups = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const [front, back] = [groups(head), groups(tail)];
  const zeros = new Array<number>(8 - front.length - back.length).fill(0);
  return Uint8Array.from([...front, ...zeros, ...back].flatMap((group) => [group >> 8, group & 0xff]));
}

/** The literal address of a sockaddr_in or sockaddr_in6; undefined for every other family. */
export function ipOf(address: Buffer): string | undefined {
  const family = endianness() === "LE" ? address.readUInt16LE(0) : address.readUInt16BE(0);
  if (family === AF_INET) return address.subarray(4, 8).join(".");
  if (family !== AF_INET6) return undefined;
  const groups = Array.from({ length: 8 }, (_, index) => address.readUInt16BE(8 + 2 * index).toString(16));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

/** The port of a sockaddr_in or sockaddr_in6 as getsockname returns it. */
export const portOf = (address: Buffer): number => address.readUInt16BE(2);
