/** The half of a container that ties it to this host (moby validateHostConfig, verifyPlatformContainerSettings). */
import type { HostConfig, RestartPolicy } from "#api-schema/container-config";
import { EngineError, messageOf } from "#base/errors";
import { normalizeCapabilities } from "../../spec/capabilities.ts";
import type { HostInfo } from "../../spec/host-info.ts";
import { isCgroupnsMode, isDefaultIsolation, isIpcMode, isPidMode, isUtsMode } from "../../spec/modes.ts";
import type { UserRemap } from "../../user-remap.ts";
import { checkMount, checkTmpfsTarget, type PathExists } from "../create/mount-spec.ts";
import { checkExtraHost, checkPortBindings } from "./network.ts";

const refuse = (message: string): never => {
  throw new EngineError("invalidParameter", message);
};

/** Before anything is looked at as a whole: what no Linux daemon can do (moby runconfig). */
export function checkPlatform(hostConfig: HostConfig, host: HostInfo): void {
  const { Isolation, CpuRealtimePeriod: period, CpuRealtimeRuntime: runtime } = hostConfig;
  if (!isDefaultIsolation(Isolation)) refuse(`invalid isolation (${Isolation}): linux only supports 'default'`);
  const qos = (what: string): never =>
    refuse(`invalid option: QoS maximum ${what} configuration is not supported on linux`);
  if (hostConfig.IOMaximumBandwidth !== 0) qos("bandwidth");
  if (hostConfig.IOMaximumIOps !== 0) qos("IOPs");
  if ((period !== 0 || runtime !== 0) && !host.cgroup.cpuRealtime) {
    refuse("kernel does not support CPU real-time scheduler");
  }
  if (period !== 0 && runtime !== 0 && runtime > period) {
    refuse("cpu real-time runtime cannot be higher than cpu real-time period");
  }
  if (host.cgroup.cpuShares && hostConfig.CpuShares < 0) {
    refuse(`invalid CPU shares (${hostConfig.CpuShares}): value must be a positive integer`);
  }
}

/** Warnings come back; what is wrong throws. */
export function checkHostConfig(hostConfig: HostConfig, host: HostInfo, exists: PathExists): string[] {
  if (hostConfig.AutoRemove && !["", "no"].includes(hostConfig.RestartPolicy.Name)) {
    refuse("can't create 'AutoRemove' container with restart policy");
  }
  const warnings: string[] = [];
  for (const mount of hostConfig.Mounts ?? []) {
    if (mount.Type === "image") warnings.push("Image mount is an experimental feature");
    checkMount(mount, exists);
  }
  for (const extraHost of hostConfig.ExtraHosts ?? []) checkExtraHost(extraHost);
  checkPortBindings(hostConfig.PortBindings);
  checkRestartPolicy(hostConfig.RestartPolicy);
  checkCapabilities("CapAdd", hostConfig, host);
  checkCapabilities("CapDrop", hostConfig, host);
  if (Object.hasOwn(hostConfig.Annotations ?? {}, "")) {
    refuse("invalid Annotations: the empty string is not permitted as an annotation key");
  }
  return warnings;
}

export function checkRestartPolicy({ Name, MaximumRetryCount: count }: RestartPolicy): void {
  switch (Name) {
    case "always":
    case "unless-stopped":
    case "no":
      if (count !== 0) {
        const also = count < 0 ? " and cannot be negative" : "";
        refuse(`invalid restart policy: maximum retry count can only be used with 'on-failure'${also}`);
      }
      return;
    case "on-failure":
      if (count < 0) refuse("invalid restart policy: maximum retry count cannot be negative");
      return;
    case "":
      return;
    default:
      refuse(
        `invalid restart policy: unknown policy '${Name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
      );
  }
}

function checkCapabilities(field: "CapAdd" | "CapDrop", hostConfig: HostConfig, host: HostInfo): void {
  try {
    normalizeCapabilities(hostConfig[field], host);
  } catch (error) {
    throw new EngineError("invalidParameter", `invalid ${field}: ${messageOf(error)}`, { cause: error });
  }
}

export interface RuntimeNames {
  readonly runtimes: Readonly<Record<string, unknown>>;
  readonly userRemap?: UserRemap | undefined;
}

/** What a container can have only as the host's root. */
function checkRemapped({ Privileged, NetworkMode, PidMode }: HostConfig): void {
  if (Privileged) {
    const hint = "You must run the container in the host namespace when running privileged mode";
    refuse(`privileged mode is incompatible with user namespaces.  ${hint}`);
  }
  if (NetworkMode === "host") refuse("cannot share the host's network namespace when user namespaces are enabled");
  if (PidMode === "host") refuse("cannot share the host PID namespace when user namespaces are enabled");
}

/** After the resources. `runtime` is the one that will run it. */
export function checkModes(hostConfig: HostConfig, runtime: string, names: RuntimeNames, host: HostInfo): string[] {
  const { IpcMode, PidMode, UTSMode, CgroupnsMode, NetworkMode, UsernsMode, OomScoreAdj: score } = hostConfig;
  if (!isIpcMode(IpcMode)) refuse(`invalid IPC mode: ${IpcMode}`);
  if (!isPidMode(PidMode)) refuse(`invalid PID mode: ${PidMode}`);
  if (hostConfig.ShmSize < 0) refuse("SHM size can not be less than 0");
  if (!isUtsMode(UTSMode)) refuse(`invalid UTS mode: ${UTSMode}`);
  if (score < -1000 || score > 1000) {
    refuse(`Invalid value ${score}, range for oom score adj is [-1000, 1000]`);
  }
  const warnings: string[] = [];
  if (host.isIpv4ForwardingDisabled && NetworkMode !== "host" && NetworkMode !== "none") {
    warnings.push("IPv4 forwarding is disabled. Networking will not work.");
  }
  if (NetworkMode === "host" && Object.keys(hostConfig.PortBindings ?? {}).length > 0) {
    warnings.push("Published ports are discarded when using host network mode");
  }
  if (names.userRemap !== undefined && UsernsMode !== "host") checkRemapped(hostConfig);
  if (!Object.hasOwn(names.runtimes, runtime)) refuse(`unknown or invalid runtime name: ${runtime}`);
  for (const target of Object.keys(hostConfig.Tmpfs ?? {})) checkTmpfsTarget(target);
  if (!isCgroupnsMode(CgroupnsMode)) refuse(`invalid cgroup namespace mode: ${CgroupnsMode}`);
  if (CgroupnsMode === "private" && !host.hasCgroupNamespaces) {
    warnings.push("Your kernel does not support cgroup namespaces.  Cgroup namespace setting discarded.");
  }
  return warnings;
}
