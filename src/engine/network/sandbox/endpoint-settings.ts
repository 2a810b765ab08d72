import type { EndpointSettings } from "#api-schema/network-settings";
import { contains, isUnspecified, parseAddress, parsePrefix } from "#network";
import type { ContainerRecord } from "#storage";
import { invalid, joinMessages } from "../errors.ts";
import { isUserNetwork } from "../modes.ts";
import type { NetworkRecord } from "../record.ts";

/**
 * The settings of one container on one network as its record keeps them. `MacAddress` shows the address in use, so what was
 * asked for is kept beside it; the wire's schema does not know this field.
 */
export interface Attachment extends EndpointSettings {
  desiredMacAddress?: string;
}

export const emptySettings = (): Attachment => ({
  IPAMConfig: null,
  Links: null,
  Aliases: null,
  MacAddress: "",
  DriverOpts: null,
  GwPriority: 0,
  NetworkID: "",
  EndpointID: "",
  Gateway: "",
  IPAddress: "",
  IPPrefixLen: 0,
  IPv6Gateway: "",
  GlobalIPv6Address: "",
  GlobalIPv6PrefixLen: 0,
  DNSNames: null,
});

/** What the client asks for, at create or connect. */
export const asked = (settings: EndpointSettings | null): Attachment =>
  settings === null
    ? emptySettings()
    : { ...settings, ...(settings.MacAddress === "" ? {} : { desiredMacAddress: settings.MacAddress }) };

/** Without what is true only while the endpoint exists (moby's cleanOperationalData). */
export const withoutOperational = (settings: Attachment): Attachment => ({
  ...settings,
  EndpointID: "",
  Gateway: "",
  IPAddress: "",
  IPPrefixLen: 0,
  IPv6Gateway: "",
  GlobalIPv6Address: "",
  GlobalIPv6PrefixLen: 0,
  MacAddress: "",
});

/** The names that the resolver gives to a container on a network; the first one is what its address resolves to. */
export function dnsNames(container: ContainerRecord, aliases: readonly string[] | null): string[] {
  const names = [container.name, ...(aliases ?? []), container.id.slice(0, 12), container.config.Hostname];
  return [...new Set(names.filter((name) => name !== ""))];
}

/** moby's validateEndpointSettings. `network` is undefined while it does not exist yet. */
export function validateSettings(
  settings: EndpointSettings | null,
  name: string,
  network: NetworkRecord | undefined,
): void {
  if (settings === null) return;
  const problems = [...modeProblems(settings, name), ...addressProblems(settings)];
  if (network !== undefined) problems.push(...rangeProblems(settings, network));
  if (settings.MacAddress !== "" && !isMacAddress(settings.MacAddress)) {
    throw invalid(`invalid MAC address ${settings.MacAddress}`);
  }
  problems.push(...sysctlProblems(settings.DriverOpts?.["com.docker.network.endpoint.sysctls"]));
  if (problems.length > 0) throw invalid(`invalid endpoint settings:\n${joinMessages(problems)}`);
}

const isMacAddress = (text: string): boolean => /^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$/.test(text);

function modeProblems({ IPAMConfig, Aliases }: EndpointSettings, name: string): string[] {
  if (isUserNetwork(name)) return [];
  const problems: string[] = [];
  if ((IPAMConfig?.IPv4Address ?? "") !== "" || (IPAMConfig?.IPv6Address ?? "") !== "") {
    problems.push("user specified IP address is supported on user defined networks only");
  }
  if ((Aliases ?? []).length > 0) {
    problems.push("network-scoped alias is supported only for containers in user defined networks");
  }
  return problems;
}

function addressProblems({ IPAMConfig }: EndpointSettings): string[] {
  const { IPv4Address = "", IPv6Address = "", LinkLocalIPs = null } = IPAMConfig ?? {};
  const problems: string[] = [];
  const isUsable = (text: string, family?: number) => {
    const address = parseAddress(text);
    return address !== undefined && !isUnspecified(address) && (family ?? address.family) === address.family;
  };
  if (IPv4Address !== "" && !isUsable(IPv4Address, 4)) problems.push(`invalid IPv4 address: ${IPv4Address}`);
  if (IPv6Address !== "" && !isUsable(IPv6Address, 6)) problems.push(`invalid IPv6 address: ${IPv6Address}`);
  for (const text of LinkLocalIPs ?? []) if (!isUsable(text)) problems.push(`invalid link-local IP address: ${text}`);
  return problems;
}

/** A fixed address needs a range that the user has fixed. */
function rangeProblems({ IPAMConfig }: EndpointSettings, network: NetworkRecord): string[] {
  const check = (text: string, family: number): string[] => {
    if (text === "") return [];
    const ranges = network.pools.filter((pool) => pool.family === family && pool.requested.subnet !== "");
    if (ranges.length === 0) {
      return ["user specified IP address is supported only when connecting to networks with user configured subnets"];
    }
    const address = parseAddress(text);
    const isInside = ranges.some(({ subnet }) => {
      const prefix = parsePrefix(subnet);
      return address !== undefined && prefix !== undefined && contains(prefix, address);
    });
    return isInside ? [] : [`no configured subnet or ip-range contain the IP address ${text}`];
  };
  return [...check(IPAMConfig?.IPv4Address ?? "", 4), ...check(IPAMConfig?.IPv6Address ?? "", 6)];
}

function sysctlProblems(text: string | undefined): string[] {
  if (text === undefined) return [];
  return text.split(",").flatMap((sysctl) => {
    const [, family = "", , device = "", ...rest] = sysctl.split(".");
    const isKnown = ["ipv4", "ipv6", "mpls"].includes(family) && ["IFNAME", "ifname"].includes(device);
    if (isKnown && rest.length > 0) return [];
    return [
      `unrecognised network interface sysctl '${sysctl}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'`,
    ];
  });
}
