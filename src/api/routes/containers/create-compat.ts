import type { CreateRequest, HostConfig } from "#api-schema/container-config";
import type { EndpointSettings } from "#api-schema/network-settings";
import { EndpointSettings as EndpointSettingsSchema } from "#api-schema/network-settings";
import { isOlder } from "#api-schema/versions";
import { EngineError } from "#base/errors";
import { goQuote } from "#base/strconv";
import { zero } from "../../decode.ts";

/**
 * What moby's create route (postContainersCreate) makes of requests of older versions and of fields that have moved.
 * The request was decoded for this call alone and is changed in place.
 */
export function adaptCreate(version: string, request: Draft): string[] {
  const draft = { ...request, endpoints: request.NetworkingConfig?.EndpointsConfig ?? {} };
  useDefaultNetwork(draft);
  ignoreNewerFields(version, draft);
  checkMounts(version, request.HostConfig);
  checkEndpoints(version, draft);
  const warnings = [
    volumeDriverWarning(version, request.HostConfig),
    moveMacAddress(version, request, draft),
    moveSysctls(version, draft),
  ];
  if ((request.HostConfig.PidsLimit ?? 1) <= 0) request.HostConfig.PidsLimit = null;
  request.NetworkingConfig = { EndpointsConfig: draft.endpoints };
  return warnings.filter((warning) => warning !== undefined);
}

export type Draft = CreateRequest & { HostConfig: HostConfig };
type Endpoints = Record<string, EndpointSettings | null>;
type Parts = Pick<Draft, "HostConfig" | "Healthcheck"> & { endpoints: Endpoints };

const isBridge = (mode: string): boolean => mode === "bridge";
const isPrivate = (mode: string): boolean => mode !== "host" && !isContainer(mode);
const isContainer = (mode: string): boolean => mode.startsWith("container:");
const isUserDefined = (mode: string): boolean =>
  !["default", "bridge", "host", "none"].includes(mode) && !isContainer(mode);

/** "default" stands for the platform's network, also as the name of an endpoint. */
function useDefaultNetwork({ HostConfig: hostConfig, endpoints }: Parts): void {
  if (hostConfig.NetworkMode !== "" && hostConfig.NetworkMode !== "default") return;
  hostConfig.NetworkMode = "bridge";
  const asked = endpoints.default;
  if (asked === undefined) return;
  delete endpoints.default;
  endpoints.bridge = asked;
}

function ignoreNewerFields(version: string, { HostConfig: hostConfig, Healthcheck, endpoints }: Parts): void {
  const mounts = hostConfig.Mounts ?? [];
  const before = (than: string) => isOlder(version, than);
  if (before("1.25")) hostConfig.AutoRemove = false;
  if (before("1.40")) {
    for (const { BindOptions } of mounts) if (BindOptions !== null) BindOptions.NonRecursive = false;
    hostConfig.KernelMemoryTCP = 0;
    if (hostConfig.IpcMode === "") hostConfig.IpcMode = "shareable";
  }
  if (before("1.41") && hostConfig.CgroupnsMode === "") hostConfig.CgroupnsMode = "host";
  if (before("1.42")) {
    for (const mount of mounts) {
      if (mount.BindOptions !== null) mount.BindOptions.CreateMountpoint = false;
      if (mount.Type !== "volume") mount.VolumeOptions = null;
      if (mount.Type !== "tmpfs") mount.TmpfsOptions = null;
    }
    hostConfig.ConsoleSize = [0, 0];
  } else hostConfig.KernelMemory = 0;
  if (before("1.43")) hostConfig.Annotations = null;
  if (before("1.44") && Healthcheck !== null) Healthcheck.StartInterval = 0;
  if (before("1.48")) for (const endpoint of Object.values(endpoints)) if (endpoint !== null) endpoint.GwPriority = 0;
}

function checkMounts(version: string, { Mounts }: HostConfig): void {
  for (const mount of Mounts ?? []) {
    if (!isOlder(version, "1.42")) {
      const misplaced = [
        { option: "VolumeOptions", isThere: mount.VolumeOptions !== null, type: "volume" },
        { option: "BindOptions", isThere: mount.BindOptions !== null, type: "bind" },
        { option: "TmpfsOptions", isThere: mount.TmpfsOptions !== null, type: "tmpfs" },
      ].find(({ isThere, type }) => isThere && mount.Type !== type);
      if (misplaced !== undefined)
        throw invalid(`${misplaced.option} must not be specified on mount type ${goQuote(mount.Type)}`);
    }
    if (isOlder(version, "1.44") && mount.Type === "bind" && mount.BindOptions?.ReadOnlyForceRecursive === true)
      throw invalid("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer");
    if (isOlder(version, "1.45") && (mount.VolumeOptions?.Subpath ?? "") !== "")
      throw invalid("VolumeOptions.Subpath needs API v1.45 or newer");
    if (isOlder(version, "1.48") && mount.Type === "image")
      throw invalid('Mount type "Image" needs API v1.48 or newer');
  }
}

function checkEndpoints(version: string, { endpoints }: Parts): void {
  const names = Object.keys(endpoints);
  if (isOlder(version, "1.44") && names.length > 1)
    throw invalid(`Container cannot be created with multiple network endpoints: ${names.join(", ")}`);
}

function volumeDriverWarning(version: string, { VolumeDriver, Mounts }: HostConfig): string | undefined {
  if (VolumeDriver === "" || isOlder(version, "1.48")) return undefined;
  const isIgnored = (Mounts ?? []).some(
    ({ Type, VolumeOptions }) => Type === "volume" && (VolumeOptions?.DriverConfig?.Name ?? "") === "",
  );
  return isIgnored
    ? "WARNING: the container-wide volume-driver configuration is ignored for volumes specified via 'mount'. Use '--mount type=volume,volume-driver=...' instead"
    : undefined;
}

/** The container's MAC address belongs to an endpoint since 1.44. */
function moveMacAddress(version: string, request: Draft, parts: Parts): string | undefined {
  const { MacAddress: asked } = request;
  const { NetworkMode: mode } = request.HostConfig;
  const isMovable = isBridge(mode) || isUserDefined(mode);
  if (isOlder(version, "1.44")) {
    if (asked === "")
      for (const endpoint of Object.values(parts.endpoints)) if (endpoint !== null) endpoint.MacAddress = "";
    if (asked === "") return undefined;
    if (!isMovable) throw invalid("conflicting options: mac-address and the network mode");
    endpointOf(version, mode, parts.endpoints).MacAddress = asked;
    return undefined;
  }
  if (asked === "") return undefined;
  if (isMovable) {
    const endpoint = endpointOf(
      version,
      mode,
      parts.endpoints,
      "unable to migrate container-wide MAC address to a specific network: ",
    );
    if (endpoint.MacAddress !== "" && endpoint.MacAddress !== asked)
      throw invalid(
        "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
      );
    endpoint.MacAddress = asked;
  }
  request.MacAddress = "";
  return "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.";
}

const sysctlOption = "com.docker.network.endpoint.sysctls";

/** Sysctls of an interface can be set only when it is there: they belong to an endpoint since 1.46. */
function moveSysctls(version: string, { HostConfig: hostConfig, endpoints }: Parts): string | undefined {
  const { NetworkMode: mode, Sysctls } = hostConfig;
  if (!isPrivate(mode) || Sysctls === null) return undefined;
  const moved = Object.keys(Sysctls).filter((name) => /^net\.[^.]*\.[^.]*\.eth[^.]*\../.test(name));
  const [first] = moved;
  if (first === undefined) return undefined;
  if (isOlder("1.47", version))
    throw new EngineError(
      "system",
      `interface specific sysctl setting ${goQuote(first)} must be supplied using driver option '${sysctlOption}'`,
    );
  const endpoint = endpointOf(version, mode, endpoints, `unable to find a network for sysctl ${first}: `);
  const foreign = moved.find((name) => name.split(".")[3] !== "eth0");
  if (foreign !== undefined)
    throw new EngineError(
      "system",
      `unable to determine network endpoint for sysctl ${foreign}, use driver option '${sysctlOption}' to set per-interface sysctls`,
    );
  const value = moved
    .map((name) => `${name.replace(/^(net\.[^.]*\.[^.]*)\.eth0/, "$1.IFNAME")}=${Sysctls[name]}`)
    .join(",");
  const before = endpoint.DriverOpts?.[sysctlOption];
  endpoint.DriverOpts = { ...endpoint.DriverOpts, [sysctlOption]: before === undefined ? value : `${value},${before}` };
  for (const name of moved) delete Sysctls[name];
  return `Migrated sysctl ${goQuote(moved.join(","))} to DriverOpts{${goQuote(sysctlOption)}:${goQuote(value)}}.`;
}

/** The endpoint that container-wide settings mean: the one of the network mode, made if there is none at all. */
function endpointOf(version: string, mode: string, endpoints: Endpoints, purpose = ""): EndpointSettings {
  const [only] = Object.keys(endpoints);
  const name = only !== undefined && isOlder(version, "1.44") ? only : mode;
  const known = endpoints[name];
  if (known !== undefined && known !== null) return known;
  if (only !== undefined && known === undefined)
    throw invalid(`${purpose}HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks`);
  const created = zero(EndpointSettingsSchema);
  endpoints[name] = created;
  return created;
}

const invalid = (message: string): EngineError => new EngineError("invalidParameter", message);
