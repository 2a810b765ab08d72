/** `docker inspect`: a container's record in Docker's shape (moby daemon/inspect.go). */
import type { HostConfig, Ulimit } from "#api-schema/container-config";
import type { ContainerInspect, InspectState, NetworkSettings } from "#api-schema/container-inspect";
import type { MountPoint } from "#api-schema/mount";
import type { ContainerRecord, ContainerState, MountRecord } from "#storage";
import { logPathOf } from "../log/shim-config.ts";
import { shownLinks } from "../network/links/legacy-links.ts";
import type { Attachment } from "../network/sandbox/endpoint-settings.ts";
import { stackOwner } from "../network/sandbox/shared.ts";
import { profileOf } from "../spec/apparmor.ts";
import type { HostInfo } from "../spec/host-info.ts";
import { parseSecurityOptions } from "../spec/security-options.ts";
import type { Container } from "./container.ts";
import type { ContainerContext } from "./context.ts";
import { containerSizes } from "./inspect-sizes.ts";
import { containerDirectory } from "./paths.ts";

export async function inspectContainer(
  context: ContainerContext,
  container: Container,
  options: { readonly size: boolean },
): Promise<ContainerInspect> {
  const { record } = container;
  const sizes = options.size ? await containerSizes(context.storage, record) : undefined;
  const { snapshots } = context.storage;
  const find = (reference: string) => context.index.find(reference)?.record;
  const metadata = snapshots.has(record.id) ? { ...snapshots.metadata(record.id) } : {};
  return inspectOf(record, {
    directory: containerDirectory(context.defaults, record.id),
    etcDirectory: containerDirectory(context.defaults, stackOwner(record, find).id),
    graphData: { ID: record.id, ...metadata },
    execIds: [...container.execs.keys()],
    links: shownLinks(record, find),
    appArmorProfile: appArmorProfileOf(record, context.host),
    defaultUlimits: Object.values(context.defaults.spec.ulimits ?? {}),
    sizes,
  });
}

/** What was asked for, until a start decides. */
function appArmorProfileOf({ state, hostConfig }: ContainerRecord, { hasAppArmor }: HostInfo): string {
  const security = parseSecurityOptions(hostConfig.SecurityOpt);
  if (!state.hasRun) return security.appArmor;
  return hasAppArmor ? profileOf(hostConfig, security) : "";
}

/** What the record itself does not say. */
export interface InspectFacts {
  /** Of the log. */
  readonly directory: string;
  /** Of hosts, hostname and resolv.conf. */
  readonly etcDirectory: string;
  readonly graphData: Record<string, string>;
  readonly execIds: readonly string[];
  readonly links: string[] | null;
  readonly appArmorProfile: string;
  readonly defaultUlimits: readonly Ulimit[];
  readonly sizes: { readonly sizeRw: number; readonly sizeRootFs: number } | undefined;
}

export function inspectOf(record: ContainerRecord, facts: InspectFacts): ContainerInspect {
  const { state, hostConfig } = record;
  const hasFiles = state.hasFiles ?? state.hasRun;
  const hasNetworkFiles = hasFiles && !record.config.NetworkDisabled;
  const file = (name: string): string => {
    const own = record.mounts.find(({ destination }) => destination === `/etc/${name}`);
    return hasNetworkFiles ? (own?.source ?? `${facts.etcDirectory}/${name}`) : "";
  };
  // Of the local driver's file Docker says nothing: its format is its own.
  const hasLog = hasFiles && hostConfig.LogConfig.Type === "json-file";
  return {
    Id: record.id,
    Created: record.created,
    Path: record.path,
    Args: record.args,
    State: stateOf(state),
    Image: record.imageId ?? "",
    ResolvConfPath: file("resolv.conf"),
    HostnamePath: file("hostname"),
    HostsPath: file("hosts"),
    LogPath: hasLog ? (logPathOf(record, facts.directory) ?? "") : "",
    Name: `/${record.name}`,
    RestartCount: state.restartCount,
    Driver: "overlay2",
    Platform: "linux",
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: facts.appArmorProfile,
    ExecIDs: facts.execIds.length === 0 ? null : [...facts.execIds],
    HostConfig: {
      ...hostConfig,
      Links: facts.links,
      Ulimits: withDefaults(hostConfig.Ulimits, facts.defaultUlimits),
    },
    GraphDriver: { Data: facts.graphData, Name: "overlay2" },
    SizeRw: facts.sizes?.sizeRw ?? null,
    SizeRootFs: facts.sizes?.sizeRootFs ?? null,
    Mounts: record.mounts.map(mountPointOf),
    Config: { ...record.config, MacAddress: askedMacAddress(record) },
    NetworkSettings: networkSettingsOf(record),
  };
}

function stateOf(state: ContainerState): InspectState {
  const { status, health } = state;
  return {
    Status: status,
    Running: ["running", "paused", "restarting"].includes(status),
    Paused: status === "paused",
    Restarting: status === "restarting",
    OOMKilled: state.oomKilled,
    Dead: status === "dead",
    Pid: state.pid,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: state.startedAt,
    FinishedAt: state.finishedAt,
    Health:
      health === null
        ? null
        : {
            Status: health.status,
            FailingStreak: health.failingStreak,
            Log: health.log.map(({ start, end, exitCode, output }) => ({
              Start: start,
              End: end,
              ExitCode: exitCode,
              Output: output,
            })),
          },
  };
}

/** Where clients before API 1.44 look for what was asked of the container's own network (moby's inspect). */
function askedMacAddress({ hostConfig, networks }: ContainerRecord): string {
  const main: Attachment | undefined = networks[hostConfig.NetworkMode];
  return main?.desiredMacAddress ?? "";
}

function withDefaults(own: HostConfig["Ulimits"], defaults: readonly Ulimit[]): HostConfig["Ulimits"] {
  const named = new Set((own ?? []).map((ulimit) => ulimit?.Name));
  const missing = defaults.filter((ulimit) => !named.has(ulimit.Name));
  return missing.length === 0 ? own : [...(own ?? []), ...missing];
}

export const mountPointOf = (mount: MountRecord): MountPoint => ({
  Type: mount.type,
  Name: mount.name,
  Source: mount.source,
  Destination: mount.destination,
  Driver: mount.driver,
  Mode: mount.mode,
  RW: mount.rw,
  Propagation: mount.propagation,
});

function networkSettingsOf(record: ContainerRecord): NetworkSettings {
  // The default bridge shows twice, for clients of before user-defined networks.
  const bridge = record.networks.bridge;
  return {
    Bridge: "",
    SandboxID: record.sandboxId,
    SandboxKey: record.sandboxKey,
    Ports: record.ports ?? {},
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: bridge?.EndpointID ?? "",
    Gateway: bridge?.Gateway ?? "",
    GlobalIPv6Address: bridge?.GlobalIPv6Address ?? "",
    GlobalIPv6PrefixLen: bridge?.GlobalIPv6PrefixLen ?? 0,
    IPAddress: bridge?.IPAddress ?? "",
    IPPrefixLen: bridge?.IPPrefixLen ?? 0,
    IPv6Gateway: bridge?.IPv6Gateway ?? "",
    MacAddress: bridge?.MacAddress ?? "",
    Networks: record.networks,
  };
}
