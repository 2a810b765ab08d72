/**
 * All of a create that makes nothing: the request checked, then the image found, then every setting that was left open given
 * its final value, so that inspect and the start read nothing but the record.
 */
import type { ContainerConfig, HostConfig } from "#api-schema/container-config";
import type { NetworkingConfig } from "#api-schema/network-settings";
import { EngineError } from "#base/errors";
import { narrow } from "#base/exact-json";
import { bestHostPlatform, formatPlatform, hostPlatform, imageRunsOn, type Platform } from "#registry";
import type { ForeignFiles } from "#storage";
import { type ImageConfig, platformOf } from "../../image/config/config.ts";
import { mergeLogConfig } from "../../log/options.ts";
import type { HostInfo } from "../../spec/host-info.ts";
import { defaultMaskedPaths, defaultReadonlyPaths } from "../../spec/masked-paths.ts";
import { containerOf } from "../../spec/modes.ts";
import { parseSecurityOptions } from "../../spec/security-options.ts";
import type { CreateOptions } from "../options.ts";
import { type CheckedRequest, type CreateDefaults, validateCreate } from "../validate/create.ts";
import { commandOf, mergeImageConfig } from "./merge.ts";

/** What an image tells a new container. `images` finds it. */
export interface FoundImage {
  readonly config: ImageConfig;
}

export interface CreateSurroundings<Image extends FoundImage> {
  readonly host: HostInfo;
  readonly defaults: CreateDefaults;
  readonly foreign: Pick<ForeignFiles, "access">;
  readonly checkNetworking: (networkingConfig: NetworkingConfig) => void;
  /** Throws `No such image: …` (404). */
  readonly findImage: (reference: string, platform: Platform | undefined) => Image;
  readonly findContainer: (reference: string) => { readonly id: string } | undefined;
}

export interface PreparedCreate<Image extends FoundImage = FoundImage> {
  /** None: the root is empty. */
  readonly image: Image | undefined;
  /** `Hostname` may still be empty: it becomes the short id. */
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly networkingConfig: NetworkingConfig;
  readonly path: string;
  readonly args: string[];
  readonly warnings: string[];
}

const defaultShmSizeBytes = 64 * 1024 * 1024;

/** Throws EngineErrors in dockerd's words and order. */
export async function prepareCreate<Image extends FoundImage>(
  options: Pick<CreateOptions, "request" | "platform">,
  surroundings: CreateSurroundings<Image>,
): Promise<PreparedCreate<Image>> {
  const checked = await validateCreate(options.request, { ...surroundings, platform: options.platform });
  const { Image: reference } = checked.config;
  const find = () => (reference === "" ? undefined : surroundings.findImage(reference, checked.platform));
  // dockerd looks for an image of any platform before the rest is checked, and for one of a certain platform after it.
  const found = checked.platform === undefined ? find() : undefined;
  surroundings.checkNetworking(checked.networkingConfig);
  const adapted = adaptHostConfig(checked.hostConfig, surroundings);
  const image = found ?? find();
  const settled = settle({ ...checked, hostConfig: adapted }, image?.config.config, surroundings);
  return {
    image,
    ...settled,
    networkingConfig: checked.networkingConfig,
    warnings: [...checked.warnings, ...(options.platform === "" ? await platformWarnings(image) : [])],
  };
}

/** Nobody asked for a foreign image by name of its platform: it was probably taken by mistake. */
async function platformWarnings(image: FoundImage | undefined): Promise<string[]> {
  if (image === undefined) return [];
  const own = platformOf(image.config);
  if (imageRunsOn(hostPlatform, own)) return [];
  const host = await bestHostPlatform();
  if (imageRunsOn(host, own)) return [];
  const [wanted, offered] = [formatPlatform(host), formatPlatform(own)];
  return [
    `The requested image's platform (${offered}) does not match the detected host platform (${wanted}) and no specific platform was requested`,
  ];
}

type Settled = Pick<PreparedCreate, "config" | "hostConfig" | "path" | "args">;

/** What image and configuration add to a request whose host half is adapted. */
export function settle(
  checked: CheckedRequest,
  imageConfig: ContainerConfig | undefined,
  surroundings: Pick<CreateSurroundings<FoundImage>, "host" | "defaults" | "findContainer">,
): Settled {
  const { host, defaults } = surroundings;
  const { hostConfig: adapted } = checked;
  const { Volumes } = checked.config;
  const own = { ...checked.config, Volumes: Object.keys(Volumes ?? {}).length === 0 ? null : Volumes };
  const merged = imageConfig === undefined ? own : mergeImageConfig(checked.config, imageConfig);
  const { path, args, entrypoint } = commandOf(merged);
  const LogConfig = mergeLogConfig(adapted.LogConfig, { driver: defaults.logDriver, options: defaults.logOptions });
  const isHostNetwork = adapted.NetworkMode === "host";
  const Hostname = merged.Hostname === "" && isHostNetwork ? host.hostname : merged.Hostname;
  return {
    config: { ...merged, Entrypoint: entrypoint, Hostname },
    hostConfig: { ...adapted, LogConfig, ...hiddenPaths(adapted, host) },
    path,
    args,
  };
}

/** What dockerd looks at only when the container has its name, calling what is wrong its own failure. */
export function checkNamed({ SecurityOpt, StorageOpt }: HostConfig): void {
  parseSecurityOptions(SecurityOpt);
  refuseStorageOptions(StorageOpt);
}

/** In the words of moby's overlay2: a writable layer has no size of its own here. */
function refuseStorageOptions(options: HostConfig["StorageOpt"]): void {
  const [first, ...others] = Object.keys(options ?? {}).map((name) => name.toLowerCase());
  if (first === undefined) return;
  const isSize = first === "size" || others.includes("size");
  const words = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option";
  throw new EngineError("system", isSize ? words : `Unknown option ${first}`);
}

/** Shown by inspect, and changed by nobody but the request. */
function hiddenPaths(hostConfig: HostConfig, host: HostInfo): Partial<HostConfig> {
  if (hostConfig.Privileged) return {};
  return {
    MaskedPaths: hostConfig.MaskedPaths ?? defaultMaskedPaths(host),
    ReadonlyPaths: hostConfig.ReadonlyPaths ?? defaultReadonlyPaths(),
  };
}

type FindId = (reference: string) => string | undefined;
type Adapting = Pick<CreateSurroundings<FoundImage>, "host" | "defaults" | "findContainer">;

/** Of 64 bits, as Go multiplies: beyond them it wraps. */
const twice = (size: number | bigint): number | bigint => narrow(BigInt.asIntN(64, BigInt(size) * 2n));

/** moby adaptContainerSettings. */
export function adaptHostConfig(hostConfig: HostConfig, { defaults, host, findContainer }: Adapting): HostConfig {
  const findId: FindId = (reference) => findContainer(reference)?.id;
  const { Memory, MemorySwap, ShmSize, IpcMode } = hostConfig;
  const adapted: HostConfig = {
    ...hostConfig,
    // As much swap as memory.
    MemorySwap: Memory > 0 && MemorySwap === 0 ? twice(Memory) : MemorySwap,
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
function withFullId(mode: string, findId: FindId): string {
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
function withLabels(hostConfig: HostConfig, findId: FindId): string[] | null {
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
