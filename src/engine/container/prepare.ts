/** The second half of a create: the image is known, and what the request left open gets its final value. */
import type { ContainerConfig, HostConfig } from "#api-schema/container-config";
import { EngineError } from "#base/errors";
import type { HostInfo } from "../spec/host-info.ts";
import { defaultMaskedPaths, defaultReadonlyPaths } from "../spec/masked-paths.ts";
import { containerOf } from "../spec/modes.ts";
import { parseSecurityOptions } from "../spec/security-options.ts";
import { commandOf, mergeImageConfig } from "./merge.ts";
import type { CheckedRequest, CreateDefaults } from "./validate.ts";
import { mergeLogConfig } from "./validate-logs.ts";

export interface Preparation {
  readonly host: HostInfo;
  readonly defaults: CreateDefaults;
  /** The image's config; undefined for a container without an image. */
  readonly imageConfig: ContainerConfig | undefined;
  /** The full id of a container, if there is one. */
  readonly findId: (reference: string) => string | undefined;
}

export interface PreparedContainer {
  /** `Hostname` may still be empty: it becomes the short id. */
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly path: string;
  readonly args: string[];
}

const defaultShmSizeBytes = 64 * 1024 * 1024;

/** What inspect will show. Throws 400 for what the request and the image together do not say. */
export function prepareCreate(request: CheckedRequest, preparation: Preparation): PreparedContainer {
  const { host, defaults, imageConfig } = preparation;
  const adapted = adaptHostConfig(request.hostConfig, preparation);
  const merged = imageConfig === undefined ? request.config : mergeImageConfig(request.config, imageConfig);
  const { path, args, entrypoint } = commandOf(merged);
  const LogConfig = mergeLogConfig(adapted.LogConfig, { driver: defaults.logDriver, options: defaults.logOptions });
  const isHostNetwork = adapted.NetworkMode === "host";
  const Hostname = merged.Hostname === "" && isHostNetwork ? host.hostname : merged.Hostname;
  return {
    config: { ...merged, Entrypoint: entrypoint, Hostname },
    hostConfig: { ...adapted, LogConfig },
    path,
    args,
  };
}

/**
 * After the name was reserved and before anything is made on disk: options that dockerd, too, reads only here. Masked and
 * read-only paths are shown from now on.
 */
export function finishHostConfig(hostConfig: HostConfig, host: HostInfo): HostConfig {
  parseSecurityOptions(hostConfig.SecurityOpt);
  if (hostConfig.Privileged) return hostConfig;
  return {
    ...hostConfig,
    MaskedPaths: hostConfig.MaskedPaths ?? defaultMaskedPaths(host),
    ReadonlyPaths: hostConfig.ReadonlyPaths ?? defaultReadonlyPaths(),
  };
}

/** moby adaptContainerSettings. */
function adaptHostConfig(hostConfig: HostConfig, preparation: Preparation): HostConfig {
  const { defaults, host, findId } = preparation;
  const { Memory, MemorySwap, ShmSize, IpcMode } = hostConfig;
  const adapted: HostConfig = {
    ...hostConfig,
    // As much swap as memory.
    MemorySwap: Memory > 0 && MemorySwap === 0 ? Memory * 2 : MemorySwap,
    ShmSize: ShmSize === 0 ? (defaults.shmSizeBytes ?? defaultShmSizeBytes) : ShmSize,
    IpcMode: withFullId(IpcMode === "" ? (defaults.ipcMode ?? "private") : IpcMode, findId),
    PidMode: withFullId(hostConfig.PidMode, findId),
    NetworkMode: withFullId(hostConfig.NetworkMode, findId),
    CgroupnsMode: cgroupnsMode(hostConfig, defaults, host),
    OomKillDisable: hostConfig.OomKillDisable ?? false,
  };
  return { ...adapted, SecurityOpt: withLabels(adapted, findId) };
}

/** So that a rename of the other container breaks nothing. One that does not exist (yet) keeps its name. */
function withFullId(mode: string, findId: Preparation["findId"]): string {
  const reference = containerOf(mode);
  const id = reference === undefined ? undefined : findId(reference);
  return id === undefined ? mode : `container:${id}`;
}

function cgroupnsMode(hostConfig: HostConfig, defaults: CreateDefaults, host: HostInfo): string {
  if (hostConfig.CgroupnsMode !== "") return hostConfig.CgroupnsMode;
  const byHost = host.cgroup.version === 2 ? "private" : "host";
  if (hostConfig.Privileged && byHost === "host") return "host";
  return defaults.cgroupnsMode || byHost;
}

/** SELinux separation makes no sense for who shares namespaces with the host; moby notes it with or without SELinux. */
function withLabels(hostConfig: HostConfig, findId: Preparation["findId"]): string[] | null {
  const { SecurityOpt, IpcMode, PidMode, Privileged } = hostConfig;
  if (SecurityOpt?.some((option) => option.split("=", 1)[0] === "label")) return SecurityOpt;
  if (Privileged || IpcMode === "host" || PidMode === "host") return [...(SecurityOpt ?? []), "label=disable"];
  for (const mode of [IpcMode, PidMode]) {
    const reference = containerOf(mode);
    if (!reference || findId(reference) !== undefined) continue;
    throw new EngineError("invalidParameter", `No such container: ${reference}`);
  }
  return SecurityOpt;
}
