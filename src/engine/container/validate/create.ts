/**
 * The order of a create, up to where the image is looked up: what contradicts itself, what the API forbids, what this host
 * cannot do. The first fault decides the text, so the order is dockerd's (api/server/router/container, daemon/create.go).
 */
import type { ContainerConfig, CreateRequest, HostConfig } from "#api-schema/container-config";
import type { Mount } from "#api-schema/mount";
import type { NetworkingConfig } from "#api-schema/network-settings";
import { errnoText } from "#base/errno-text";
import { EngineError, errnoOf, messageOf } from "#base/errors";
import { type Platform, parsePlatform } from "#registry";
import type { ForeignFiles } from "#storage";
import type { HostInfo } from "../../spec/host-info.ts";
import type { UserRemap } from "../../user-remap.ts";
import { emptyHostConfig } from "../create/empty-host-config.ts";
import { checkMount, type PathExists } from "../create/mount-spec.ts";
import { checkConfig } from "./config.ts";
import { checkHostConfig, checkModes, checkPlatform } from "./host.ts";
import { checkNetworkMode } from "./network.ts";
import { checkResources } from "./resources.ts";

/** What the daemon's configuration decides about new containers. */
export interface CreateDefaults {
  readonly runtimes: Readonly<Record<string, unknown>>;
  readonly defaultRuntime: string;
  readonly logDriver: string;
  readonly logOptions: Readonly<Record<string, string>>;
  /** "" for the host's default. */
  readonly cgroupnsMode?: "" | "host" | "private";
  readonly ipcMode?: "private" | "shareable";
  readonly shmSizeBytes?: number;
  readonly userRemap?: UserRemap | undefined;
}

export interface CheckedRequest {
  /** Undefined when nobody asked for one. */
  readonly platform: Platform | undefined;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly networkingConfig: NetworkingConfig;
  readonly warnings: readonly string[];
}

type Foreign = Pick<ForeignFiles, "access">;

interface Surroundings {
  readonly host: HostInfo;
  readonly defaults: Pick<CreateDefaults, "runtimes" | "defaultRuntime" | "userRemap">;
  /** As the client wrote it. */
  readonly platform?: string;
}

/** Throws EngineErrors in dockerd's words. Nothing has been made yet. */
export async function validateCreate(
  request: CreateRequest,
  { foreign, ...surroundings }: Surroundings & { readonly foreign: Foreign },
): Promise<CheckedRequest> {
  const exists = await probeSources(foreign, request.HostConfig?.Mounts ?? []);
  return checkRequest(request, { ...surroundings, exists });
}

/** Again before a start: what a bind shows may have gone since. */
export async function checkMounts(foreign: Foreign, mounts: readonly Mount[]): Promise<void> {
  const exists = await probeSources(foreign, mounts);
  for (const mount of mounts) checkMount(mount, exists);
}

async function probeSources(foreign: Foreign, mounts: readonly Mount[]): Promise<PathExists> {
  const faults = new Map<string, unknown>();
  for (const { Source } of mounts.filter(({ Type }) => Type === "bind")) {
    try {
      await foreign.access(Source);
    } catch (error) {
      faults.set(Source, error);
    }
  }
  return (path) => {
    const fault = faults.get(path);
    const code = errnoOf(fault);
    if (code === "ETIMEDOUT") throw new Error(`stat ${path}: ${messageOf(fault)}`);
    if (code !== undefined && code !== "ENOENT") throw new Error(`stat ${path}: ${errnoText(code)}`);
    return fault === undefined;
  };
}

export function checkRequest(
  request: CreateRequest,
  { host, defaults, exists, platform = "" }: Surroundings & { readonly exists: PathExists },
): CheckedRequest {
  const { HostConfig: askedHost, NetworkingConfig: askedNetworking, ...askedConfig } = request;
  const asked = askedHost ?? emptyHostConfig;
  checkNetworkMode(askedConfig, asked);
  checkPlatform(asked, host);
  const wantedPlatform = platform === "" ? undefined : parsePlatform(platform);
  const named: HostConfig = { ...asked, NetworkMode: networkMode(asked), RestartPolicy: restartPolicy(asked) };
  const WorkingDir = checkConfig(askedConfig);
  const hostWarnings = checkHostConfig(named, host, exists);
  const resources = checkResources(named, host, false);
  const modeWarnings = checkModes(named, named.Runtime || defaults.defaultRuntime, defaults, host);
  const networkingConfig = askedNetworking ?? { EndpointsConfig: null };
  checkEndpoints(networkingConfig);
  return {
    platform: wantedPlatform,
    config: { ...askedConfig, WorkingDir, Volumes: askedConfig.Volumes ?? {} },
    hostConfig: { ...named, ...resources.changes, Runtime: shownRuntime(named.Runtime, defaults) },
    networkingConfig,
    warnings: [...hostWarnings, ...resources.warnings, ...modeWarnings],
  };
}

/** The edge has done this for requests that came over the wire. */
const networkMode = ({ NetworkMode: mode }: HostConfig): string => (["", "default"].includes(mode) ? "bridge" : mode);

const restartPolicy = ({ RestartPolicy: policy }: HostConfig): HostConfig["RestartPolicy"] =>
  policy.Name === "" ? { ...policy, Name: "no" } : policy;

/** Our own runtime is a drop-in for runc and shows as it: scripts compare this with what they know. */
function shownRuntime(asked: string, { defaultRuntime }: Pick<CreateDefaults, "defaultRuntime">): string {
  if (asked !== "") return asked;
  return defaultRuntime === "minirun" ? "runc" : defaultRuntime;
}

function checkEndpoints(networking: NetworkingConfig): void {
  for (const [network, endpoint] of Object.entries(networking.EndpointsConfig ?? {})) {
    if (endpoint !== null) continue;
    throw new EngineError("invalidParameter", `invalid config for network ${network}: EndpointsConfig is nil`);
  }
}
