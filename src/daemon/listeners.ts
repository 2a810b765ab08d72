import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { ListenAddress } from "#api";
import { EngineError } from "#base/errors";
import { getsockname, ipOf } from "#native";
import { findAccount } from "./accounts-of-host.ts";
import type { DaemonConfig, TlsConfig } from "./config/config.ts";

const socketMode = 0o660;
const defaultGroup = "docker";

/** `-H` in all its forms. TCP beyond loopback is refused without client certificates: it would be root for everybody. */
export async function listenAddresses(
  config: DaemonConfig,
  activated: (host: string) => readonly number[],
): Promise<ListenAddress[]> {
  const addresses = config.hosts.map(async (host) => {
    if (!host.startsWith("fd://")) return addressOf(host, config);
    return Promise.all(activated(host.slice("fd://".length)).map((fd) => activatedAddress(fd, config.tls)));
  });
  return (await Promise.all(addresses)).flat();
}

async function addressOf(host: string, config: DaemonConfig): Promise<ListenAddress> {
  const [, scheme = "", rest = ""] = /^(unix|tcp):\/\/(.*)$/.exec(host) ?? [];
  switch (scheme) {
    case "unix":
      await mkdir(dirname(rest), { recursive: true });
      return { kind: "unix", path: rest, mode: socketMode, gid: groupId(config.socketGroup) };
    case "tcp":
      return tcpAddress(rest, config.tls);
    default:
      throw new EngineError("invalidParameter", `unable to parse docker host \`${host}\``);
  }
}

async function tcpAddress(text: string, tls: TlsConfig): Promise<ListenAddress> {
  const { hostname, port } = new URL(`tcp://${text}`);
  const host = hostname.replace(/^\[|\]$/g, "");
  refuseOpenDoor(host, `tcp://${text}`, tls);
  return { kind: "tcp", host, port: Number(port), ...(await tlsOf(tls)) };
}

/** What systemd listens on may be either. */
async function activatedAddress(fd: number, tls: TlsConfig): Promise<ListenAddress> {
  const host = ipOf(getsockname(fd));
  if (host === undefined) return { kind: "fd", fd };
  refuseOpenDoor(host, `fd://${fd}`, tls);
  return { kind: "tcp", host, fd, ...(await tlsOf(tls)) };
}

function refuseOpenDoor(host: string, shown: string, { isClientVerified }: TlsConfig): void {
  if (isClientVerified || isLoopback(host)) return;
  throw new EngineError(
    "invalidParameter",
    `refusing to listen on ${shown} without --tlsverify: everybody who reaches it would be root here`,
  );
}

const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || /^127\.[\d.]+$/.test(host);

async function tlsOf({ isEnabled, isClientVerified, caFile, certFile, keyFile }: TlsConfig) {
  if (!isEnabled && !isClientVerified) return {};
  const [cert, key, ca] = await Promise.all([
    readFile(certFile),
    readFile(keyFile),
    isClientVerified ? readFile(caFile) : undefined,
  ]);
  const client = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true };
  return { tls: { cert, key, minVersion: "TLSv1.2" as const, ...client } };
}

/** The group that may use the socket. A host need not have the one that is meant where none was named, as in moby. */
function groupId(name: string): number {
  try {
    if (name !== "") return findAccount("group", name).id;
  } catch (cause) {
    if (/^[+-]?\d+$/.test(name)) return Number(name);
    const words = `failed to load listeners: group ${name} not found`;
    if (name !== defaultGroup) throw new EngineError("invalidParameter", words, { cause });
  }
  return process.getgid?.() ?? 0;
}
