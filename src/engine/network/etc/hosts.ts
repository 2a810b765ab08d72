import { type Address, formatAddress } from "#network";

export interface HostEntry {
  readonly address: string;
  readonly names: string;
}

const loopback4: readonly HostEntry[] = [{ address: "127.0.0.1", names: "localhost" }];
const loopback6: readonly HostEntry[] = [
  { address: "::1", names: "localhost ip6-localhost ip6-loopback" },
  { address: "fe00::", names: "ip6-localnet" },
  { address: "ff00::", names: "ip6-mcastprefix" },
  { address: "ff02::1", names: "ip6-allnodes" },
  { address: "ff02::2", names: "ip6-allrouters" },
];

const line = ({ address, names }: HostEntry): string => `${address}\t${names}\n`;

/** A container's /etc/hosts as moby writes it (libnetwork/etchosts). */
export const renderHosts = (entries: readonly HostEntry[], { hasIpv6 }: { readonly hasIpv6: boolean }): string =>
  [...loopback4, ...(hasIpv6 ? loopback6 : []), ...entries].map(line).join("");

/** The lines of a container's own addresses: "name.domain name". */
export function ownEntries(hostname: string, domainname: string, addresses: readonly Address[]): HostEntry[] {
  const full = domainname === "" ? hostname : `${hostname}.${domainname}`;
  const dot = full.indexOf(".");
  const names = dot < 0 ? full : `${full} ${full.slice(0, dot)}`;
  return addresses.map((address) => ({ address: formatAddress(address), names }));
}

/** What a user made of the file stays; only our own lines go or come. */
export const withoutEntries = (text: string, entries: readonly HostEntry[]): string => {
  const ours = new Set(entries.map(line));
  return text
    .split(/(?<=\n)/)
    .filter((candidate) => !ours.has(candidate))
    .join("");
};

export const withEntries = (text: string, entries: readonly HostEntry[]): string => text + entries.map(line).join("");

export const withMissing = (text: string, entries: readonly HostEntry[]): string => {
  const present = new Set(text.split(/(?<=\n)/));
  return withEntries(
    text,
    entries.filter((entry) => !present.has(line(entry))),
  );
};

/** The lines with exactly these names give way to others; where there are none yet, the others come last. */
export function replaceEntries(text: string, names: string, entries: readonly HostEntry[]): string {
  const lines = text.split(/(?<=\n)/);
  const isOld = (candidate: string) => candidate.endsWith(`\t${names}\n`);
  const first = lines.findIndex(isOld);
  const kept = lines.filter((candidate) => !isOld(candidate));
  kept.splice(first < 0 ? kept.length : first, 0, ...entries.map(line));
  return kept.join("");
}

/** `--add-host name:address`; the address may hold colons. */
export function parseExtraHost(text: string): { readonly name: string; readonly address: string } {
  const colon = text.indexOf(":");
  return { name: text.slice(0, colon), address: text.slice(colon + 1) };
}
