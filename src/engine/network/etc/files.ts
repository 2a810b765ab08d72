import { createHash } from "node:crypto";
import { constants, copyFile, open, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { EngineError, errnoOf } from "#base/errors";
import type { Address } from "#network";
import type { ContainerRecord } from "#storage";
import { addressProblem } from "../create/parse-addr.ts";
import { isIpv6Off } from "../modes.ts";
import {
  type HostEntry,
  ownEntries,
  parseExtraHost,
  renderHosts,
  replaceEntries,
  withEntries,
  withMissing,
  withoutEntries,
} from "./hosts.ts";
import {
  type ContainerResolvConf,
  containerResolvConf,
  type DnsSettings,
  parseResolvConf,
  type ResolverKind,
} from "./resolv-conf.ts";

/** The files that a container sees in /etc, on the host. They are bind-mounted read-write. */
export interface NetworkFiles {
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
}

const hostsPath = "/etc/hosts";
export const resolvConfPath = "/etc/resolv.conf";
/** What systemd-resolved asks, where /etc/resolv.conf only names its own stub. */
const systemdResolvConfPath = "/run/systemd/resolve/resolv.conf";
const mode = 0o644;

export const filesIn = (directory: string): NetworkFiles => ({
  hosts: join(directory, "hosts"),
  hostname: join(directory, "hostname"),
  resolvConf: join(directory, "resolv.conf"),
});

/** The files of another container: its directory stands beside. */
export const filesBeside = (directory: string, id: string): NetworkFiles => filesIn(join(dirname(directory), id));

export const writeHostname = (files: NetworkFiles, hostname: string): Promise<void> =>
  writeFile(files.hostname, `${hostname}\n`, { mode });

export interface HostsRequest {
  readonly container: ContainerRecord;
  /** Stands for `host-gateway`. */
  readonly hostGateways: readonly string[];
  readonly links: readonly HostEntry[];
  readonly addresses: readonly Address[];
}

/** A container in the host's network has the host's file, unless it wants names of its own. */
export async function writeHosts(files: NetworkFiles, request: HostsRequest): Promise<void> {
  const { container, links, addresses } = request;
  const extra = extraEntries(request);
  if (container.hostConfig.NetworkMode === "host" && extra.length === 0) {
    return copyFile(hostsPath, files.hosts).catch((error: unknown) => {
      if (errnoOf(error) !== "ENOENT") throw error;
      return writeFile(files.hosts, "", { mode });
    });
  }
  const own = ownEntries(container.config.Hostname, container.config.Domainname, addresses);
  const hasIpv6 = !isIpv6Off(container);
  const isKept = ({ address }: HostEntry) => hasIpv6 || !address.includes(":");
  const entries = [...extra, ...links, ...own].filter(isKept);
  await writeFile(files.hosts, renderHosts(entries, { hasIpv6 }), { mode });
}

function extraEntries({ container, hostGateways }: HostsRequest): HostEntry[] {
  return (container.hostConfig.ExtraHosts ?? []).flatMap((text) => {
    const { name, address } = parseExtraHost(text);
    if (address !== "host-gateway") return [{ address, names: name }];
    if (hostGateways.length === 0) throw new Error("unable to derive the IP value for host-gateway");
    return hostGateways.map((gateway) => ({ address: gateway, names: name }));
  });
}

/** Changes only our own lines, in place: the file is bind-mounted, so it must stay the same inode. */
export async function changeHosts(
  files: NetworkFiles,
  container: ContainerRecord,
  change: { readonly added?: readonly Address[]; readonly removed?: readonly Address[] },
): Promise<void> {
  const { Hostname, Domainname } = container.config;
  const entries = (addresses: readonly Address[] = []) => ownEntries(Hostname, Domainname, addresses);
  const text = await readFile(files.hosts, "utf8");
  const changed = withEntries(withoutEntries(text, entries(change.removed)), entries(change.added));
  if (changed !== text) await overwrite(files.hosts, changed);
}

/** The lines of its own addresses, where they are not in the file. */
export async function addMissingHosts(
  files: NetworkFiles,
  { config }: ContainerRecord,
  addresses: readonly Address[],
): Promise<void> {
  const text = await readFile(files.hosts, "utf8");
  const changed = withMissing(text, ownEntries(config.Hostname, config.Domainname, addresses));
  if (changed !== text) await overwrite(files.hosts, changed);
}

/** Says where another container is, or with no entries that it is nowhere; in place as well. */
export async function replaceHosts(files: NetworkFiles, names: string, entries: readonly HostEntry[]): Promise<void> {
  const text = await readFile(files.hosts, "utf8");
  const changed = replaceEntries(text, names, entries);
  if (changed !== text) await overwrite(files.hosts, changed);
}

export interface ResolvConfOptions {
  readonly settings: DnsSettings;
  readonly kind: ResolverKind;
  readonly isIpv6Enabled: boolean;
}

export async function makeResolvConf(options: ResolvConfOptions): Promise<ContainerResolvConf> {
  for (const address of options.settings.nameservers) {
    const problem = addressProblem(address);
    if (problem !== undefined) throw new EngineError("system", `bad nameserver address ${address}: ${problem}`);
  }
  const { path, text } = await readHostResolvConf(options.kind);
  return containerResolvConf({ ...options, host: parseResolvConf(text), sourcePath: path });
}

export const writeResolvConf = (files: NetworkFiles, text: string): Promise<void> =>
  writeFile(files.resolvConf, text, { mode });

/** One that may be replaced while the container runs: by its digest an edited file is told from it. */
export async function writeFirstResolvConf(files: NetworkFiles, text: string): Promise<void> {
  await Promise.all([writeResolvConf(files, text), writeFile(digestPath(files), sha256(text), { mode })]);
}

/** Whoever edits the file keeps it. */
export async function replaceResolvConf(files: NetworkFiles, text: string): Promise<void> {
  const [current, digest] = await Promise.all([readOrEmpty(files.resolvConf), readOrEmpty(digestPath(files))]);
  if (digest === "" || digest === sha256(current)) await overwrite(files.resolvConf, text);
}

/** In place, for the file is bind-mounted: who reads it meanwhile, or after a crash, finds the old text or the new one. */
async function overwrite(path: string, text: string): Promise<void> {
  await using file = await open(path, constants.O_RDWR | constants.O_CREAT, mode);
  const bytes = Buffer.from(text);
  const { size } = await file.stat();
  await file.write(Buffer.concat([bytes, Buffer.alloc(Math.max(0, size - bytes.length), "\n")]), 0, undefined, 0);
  if (size > bytes.length) await file.truncate(bytes.length);
}

/** After a crash: only one that was written as the first, and is as it was then. */
export async function replaceFirstResolvConf(files: NetworkFiles, text: string): Promise<void> {
  if ((await readOrEmpty(digestPath(files))) !== "") await replaceResolvConf(files, text);
}

const digestPath = ({ resolvConf }: NetworkFiles): string => `${resolvConf}.hash`;
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

async function readHostResolvConf(kind: ResolverKind): Promise<{ path: string; text: string }> {
  const text = await readOrEmpty(resolvConfPath);
  const { nameservers } = parseResolvConf(text);
  const isStub = nameservers.length === 1 && nameservers[0] === "127.0.0.53";
  // Only a container without a resolver of ours must ask the real servers itself.
  if (kind !== "legacy" || !isStub) return { path: resolvConfPath, text };
  return { path: systemdResolvConfPath, text: await readOrEmpty(systemdResolvConfPath) };
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "";
    throw error;
  }
}
