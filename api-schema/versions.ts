/** The API's versions, and how requests and answers of older ones differ (moby: `versions.LessThan` in api/server/router). */
import type { ContainerInspect } from "#api-schema/container-inspect";
import type { ContainerSummary } from "#api-schema/container-summary";
import type { UpdateConfig } from "#api-schema/container-verbs";
import type { SystemInfo } from "#api-schema/system";

export const maxApiVersion = "1.51";
export const minApiVersion = "1.24";

/** Compares number by number; what is no number counts as 0, as in moby. */
export function isOlder(version: string, than: string): boolean {
  const [left, right] = [version.split("."), than.split(".")];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = numberAt(left, index) - numberAt(right, index);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function numberAt(parts: readonly string[], index: number): number {
  const part = parts[index] ?? "";
  return /^[0-9]+$/.test(part) ? Number(part) : 0;
}

/** Annotations came with 1.46. */
export function containerSummaryFor(version: string, summary: ContainerSummary): ContainerSummary {
  if (!isOlder(version, "1.46")) return summary;
  return { ...summary, HostConfig: { ...summary.HostConfig, Annotations: null } };
}

/** Until 1.45 the aliases on user-defined networks named the container's short id and host name, too. */
export function containerInspectFor(version: string, container: ContainerInspect): ContainerInspect {
  const settings = container.NetworkSettings;
  if (!isOlder(version, "1.45") || settings === null) return container;
  const own = [container.Id.slice(0, 12), container.Config?.Hostname ?? ""];
  const networks = Object.entries(settings.Networks ?? {}).map(([name, endpoint]) => {
    if (endpoint === null || ["default", "bridge", "host", "none"].includes(name)) return [name, endpoint] as const;
    return [name, { ...endpoint, Aliases: [...new Set([...(endpoint.Aliases ?? []), ...own])] }] as const;
  });
  return { ...container, NetworkSettings: { ...settings, Networks: Object.fromEntries(networks) } };
}

/** 0 and less mean "no limit", and are sent on as 0; the kernel's memory limit went with 1.42. */
export function updateRequestFor(version: string, request: UpdateConfig): UpdateConfig {
  const pidsLimit = isOlder(version, "1.40") ? null : request.PidsLimit;
  return {
    ...request,
    PidsLimit: pidsLimit !== null && pidsLimit <= 0 ? 0 : pidsLimit,
    KernelMemory: isOlder(version, "1.42") ? request.KernelMemory : 0,
  };
}

/** `fields` are those that older versions had and the newest has not. */
export interface InfoFor {
  readonly info: SystemInfo;
  readonly fields: Readonly<Record<string, boolean>>;
  readonly registryFields: Readonly<Record<string, null>>;
}

export function infoFor(version: string, newest: SystemInfo): InfoFor {
  const before = (than: string) => isOlder(version, than);
  const info = { ...newest };
  if (before("1.25")) info.SecurityOptions = (info.SecurityOptions ?? []).map(securityOptionName);
  if (before("1.39")) {
    info.KernelVersion = info.KernelVersion === "" ? "<unknown>" : info.KernelVersion;
    info.OperatingSystem = info.OperatingSystem === "" ? "<unknown>" : info.OperatingSystem;
  }
  if (before("1.44")) {
    const runtimes = Object.entries(info.Runtimes ?? {});
    info.Runtimes = Object.fromEntries(runtimes.map(([name, runtime]) => [name, { ...runtime, status: null }]));
  }
  if (before("1.46")) info.Containerd = null;
  if (before("1.49")) {
    info.FirewallBackend = null;
    info.ContainerdCommit = { ...info.ContainerdCommit, Expected: info.ContainerdCommit.ID };
    info.RuncCommit = { ...info.RuncCommit, Expected: info.RuncCommit.ID };
    info.InitCommit = { ...info.InitCommit, Expected: info.InitCommit.ID };
  }
  if (before("1.50")) info.DiscoveredDevices = null;
  return {
    info,
    fields: {
      ...(before("1.50") ? { BridgeNfIp6tables: false, BridgeNfIptables: false } : {}),
      ...(before("1.42") && info.KernelMemoryTCP ? { KernelMemory: true } : {}),
    },
    registryFields: before("1.47")
      ? { AllowNondistributableArtifactsCIDRs: null, AllowNondistributableArtifactsHostnames: null }
      : {},
  };
}

/** `name=seccomp,profile=builtin` → seccomp. */
const securityOptionName = (option: string): string => /(?:^|,)name=([^,]*)/.exec(option)?.[1] ?? option;
