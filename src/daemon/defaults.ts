import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { EngineError, messageOf } from "#base/errors";
import type { ContainerDefaults, NetworkServiceOptions, RuntimeEntry, SystemFacts, TransferLimits } from "#engine";
import type { RegistryOptions } from "#registry";
import { buildInfo } from "./build-info.ts";
import type { DaemonConfig } from "./config/config.ts";
import { withoutCredentials } from "./config/proxies.ts";
import type { EngineIdentity } from "./identity.ts";
import { nativeBinary } from "./paths.ts";
import { userRemapOf } from "./remap-users.ts";

/** The Docker release whose behaviour clients get, and ours behind it: what looks for a release number finds Docker's. */
export const engineVersion = `28.5.2+minidock.${buildInfo.version}`;

/** The name under which our own launcher can be asked for. */
const ownRuntime = "minirun";
/** What clients see, and ask for, when nobody chose a runtime: the drop-in answers to the name it stands in for. */
const shownRuntime = "runc";

/**
 * Ours, runc and those of `--add-runtime`. `--runtime runc` means the real one where the host has it, and ours where not:
 * docs/decisions/0006-runtime-names.md.
 */
export function runtimesOf(config: DaemonConfig): Readonly<Record<string, RuntimeEntry>> {
  const own = { path: nativeBinary("minirun"), args: [] };
  const runc = findInPath("runc");
  return {
    [ownRuntime]: own,
    runc: runc === undefined ? own : { path: runc, args: [] },
    "io.containerd.runc.v2": runc === undefined ? own : { path: runc, args: [] },
    ...config.runtimes,
  };
}

function findInPath(name: string): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

export async function containerDefaults(config: DaemonConfig): Promise<ContainerDefaults> {
  const runtimes = runtimesOf(config);
  const { defaultRuntime = ownRuntime } = config;
  if (runtimes[defaultRuntime] === undefined) {
    throw new EngineError("invalidParameter", `specified default runtime '${defaultRuntime}' does not exist`);
  }
  return {
    dataRoot: config.dataRoot,
    execRoot: config.execRoot,
    runtimes,
    defaultRuntime,
    shownRuntime: config.defaultRuntime ?? shownRuntime,
    logDriver: config.logDriver,
    logOptions: config.logOptions,
    spec: {
      cgroupParent: config.cgroupParent,
      initPath: config.initPath === "" ? nativeBinary("minidock-init") : config.initPath,
      isInitDefault: config.hasInitByDefault,
      hasNoNewPrivileges: config.hasNoNewPrivileges,
      ulimits: config.defaultUlimits,
      seccompProfile: await seccompProfile(config.seccompProfile),
      cdiSpecDirs: config.cdiSpecDirs,
    },
    cgroupnsMode: config.defaultCgroupnsMode,
    ipcMode: config.defaultIpcMode,
    shmSizeBytes: config.defaultShmSizeBytes,
    isExperimental: config.isExperimental,
    stopTimeoutSeconds: 10,
    userRemap: userRemapOf(config),
  };
}

/** "" for Docker's own, "unconfined", or the text of the profile that the path names. */
async function seccompProfile(choice: string): Promise<string> {
  if (choice === "builtin") return "";
  if (choice === "unconfined") return choice;
  try {
    return await readFile(choice, "utf8");
  } catch (error) {
    throw new EngineError("invalidParameter", `opening seccomp profile (${choice}) failed: ${messageOf(error)}`);
  }
}

export const networkConfig = (config: DaemonConfig): NetworkServiceOptions["config"] => ({
  bridge: config.bridge,
  addressPools: config.defaultAddressPools,
  defaultNetworkOptions: config.defaultNetworkOptions,
  dns: { nameservers: config.dns, options: config.dnsOptions, search: config.dnsSearch },
  hostGateways: config.hostGatewayIps,
});

export const registryOptions = (config: DaemonConfig): RegistryOptions => ({
  insecureRegistries: config.insecureRegistries,
  mirrors: config.registryMirrors,
});

export const transferLimits = (config: DaemonConfig): TransferLimits => ({
  concurrentDownloads: config.maxConcurrentDownloads,
  concurrentUploads: config.maxConcurrentUploads,
  downloadAttempts: config.maxDownloadAttempts,
});

export function systemFacts(config: DaemonConfig, identity: EngineIdentity): SystemFacts {
  return {
    ...identity,
    version: engineVersion,
    gitCommit: buildInfo.commit,
    buildTime: buildInfo.time,
    minApiVersion: config.minApiVersion,
    dataRoot: config.dataRoot,
    labels: config.labels,
    isDebug: config.isDebug,
    isExperimental: config.isExperimental,
    isLiveRestoreEnabled: config.isLiveRestoreEnabled,
    loggingDriver: config.logDriver,
    defaultRuntime: config.defaultRuntime ?? shownRuntime,
    runtimes: runtimesOf(config),
    proxies: withoutCredentials(config.proxies),
    defaultAddressPools: config.defaultAddressPools,
    cdiSpecDirs: config.cdiSpecDirs,
    seccompProfile: config.seccompProfile,
    hasNoNewPrivileges: config.hasNoNewPrivileges,
    openAddresses: config.tls.isClientVerified ? [] : openAddresses(config),
    isRemapped: config.idMappings !== undefined,
  };
}

const openAddresses = ({ hosts, tls }: DaemonConfig): SystemFacts["openAddresses"] =>
  hosts
    .filter((host) => host.startsWith("tcp://"))
    .map((host) => ({ address: host.slice("tcp://".length), isEncrypted: tls.isEnabled }));

/** `--storage-opt blobs.watermark=PERCENT`: how full the disk may be before compressed layers that a registry has are dropped. */
export function blobWatermark({ storageOptions }: Pick<DaemonConfig, "storageOptions">): number {
  const name = "blobs.watermark=";
  const text = storageOptions.findLast((option) => option.startsWith(name))?.slice(name.length) ?? "95%";
  const percent = Number(/^(\d{1,3})%?$/.exec(text)?.[1]);
  if (percent <= 100) return percent;
  throw new Error(`invalid storage option ${name}${text}: a percentage is wanted`);
}
