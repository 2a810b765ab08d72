import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { ListenAddress } from "#api";
import { EngineError } from "#base/errors";
import type { DaemonConfig, TlsConfig } from "./config.ts";

const socketMode = 0o660;

/** `-H` in all its forms. TCP beyond loopback is refused without client certificates: it would be root for everybody. */
export async function listenAddresses(config: DaemonConfig): Promise<ListenAddress[]> {
  return Promise.all(config.hosts.map((host) => addressOf(host, config)));
}

async function addressOf(host: string, config: DaemonConfig): Promise<ListenAddress> {
  const [, scheme = "", rest = ""] = /^(unix|tcp|fd):\/\/(.*)$/.exec(host) ?? [];
  switch (scheme) {
    case "unix":
      await mkdir(dirname(rest), { recursive: true });
      return { kind: "unix", path: rest, mode: socketMode, gid: await groupId(config.socketGroup) };
    case "tcp":
      return tcpAddress(rest, config.tls);
    case "fd":
      return { kind: "fd", fd: firstActivatedFd };
    default:
      throw new EngineError("invalidParameter", `unable to parse docker host \`${host}\``);
  }
}

/** sd_listen_fds(3). */
const firstActivatedFd = 3;

async function tcpAddress(text: string, tls: TlsConfig): Promise<ListenAddress> {
  const { hostname, port } = new URL(`tcp://${text}`);
  const host = hostname.replace(/^\[|\]$/g, "");
  if (!tls.isClientVerified && !isLoopback(host)) {
    throw new EngineError(
      "invalidParameter",
      `refusing to listen on tcp://${text} without --tlsverify: everybody who reaches it would be root here`,
    );
  }
  const address = { kind: "tcp", host, port: Number(port) } as const;
  return tls.isEnabled || tls.isClientVerified ? { ...address, tls: await tlsOptions(tls) } : address;
}

const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || /^127\.[\d.]+$/.test(host);

async function tlsOptions({ isClientVerified, caFile, certFile, keyFile }: TlsConfig) {
  const [cert, key, ca] = await Promise.all([
    readFile(certFile),
    readFile(keyFile),
    isClientVerified ? readFile(caFile) : undefined,
  ]);
  return {
    cert,
    key,
    minVersion: "TLSv1.2" as const,
    ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true }),
  };
}

/** The group that may use the socket; root's where the host has no such group, as in moby. */
async function groupId(name: string): Promise<number> {
  if (/^\d+$/.test(name)) return Number(name);
  const groups = await readFile("/etc/group", "utf8").catch(() => "");
  const line = groups.split("\n").find((entry) => entry.startsWith(`${name}:`));
  return Number(line?.split(":")[2] ?? 0);
}
