/** Docker's container → the OCI spec that it runs with, in effect what dockerd 28.5 writes (moby daemon/oci_linux.go). */
import { posix } from "node:path";
import type { HostConfig, Ulimit } from "#api-schema/container-config";
import { EngineError } from "#base/errors";
import type { Linux, Namespace, Process, Rlimit, Seccomp, Spec, Uint64 } from "#runtime";
import type { ContainerRecord } from "#storage";
import type { Injection } from "../cdi/injection.ts";
import type { UserRemap } from "../user-remap.ts";
import { homeOf, type ReadFile, resolveUser } from "./accounts.ts";
import { profileOf } from "./apparmor.ts";
import { chooseCapabilities } from "./capabilities.ts";
import { type DeviceAccess, deviceAccess } from "./devices.ts";
import { containerEnvironment, overrideEnvironment, withHome } from "./environment.ts";
import type { HostDevices } from "./host-devices.ts";
import type { HostInfo } from "./host-info.ts";
import { containerOf, hasOwnNetworkStack } from "./modes.ts";
import { mountsOf, type ResolvedMount } from "./mounts.ts";
import { type FindContainer, joinedNamespaces, namespacesOf } from "./namespaces.ts";
import { rootPropagationOf } from "./propagation.ts";
import { resourcesOf } from "./resources.ts";
import { customFilter, defaultFilter } from "./seccomp.ts";
import { parseSecurityOptions, type SecurityOptions } from "./security-options.ts";

/** What the daemon's configuration says to every container. */
export interface SpecDefaults {
  /** "" for /docker. */
  readonly cgroupParent: string;
  /** The binary that becomes /sbin/docker-init. */
  readonly initPath: string;
  readonly isInitDefault?: boolean;
  readonly hasNoNewPrivileges?: boolean;
  readonly ulimits?: Readonly<Record<string, Ulimit>>;
  /** "" for Docker's own, "unconfined", or the text of a profile. */
  readonly seccompProfile?: string;
  /** Where CDI specifications lie; undefined with that feature off. */
  readonly cdiSpecDirs?: readonly string[] | undefined;
}

export interface SpecInput extends SpecDefaults {
  readonly container: Pick<ContainerRecord, "id" | "path" | "args" | "config" | "hostConfig">;
  /** What linked containers offer. */
  readonly linkEnvironment: readonly string[];
  /** Path of the network namespace; undefined with the host's, or when the runtime makes one. */
  readonly networkNamespace: string | undefined;
  /** Path of the user namespace; undefined with the host's. */
  readonly userNamespace?: string | undefined;
  readonly userRemap?: UserRemap | undefined;
  /** The user's mounts, the volumes and the engine's own files. */
  readonly mounts: readonly ResolvedMount[];
  /** Of the container's root. */
  readonly readFile: ReadFile;
  readonly host: HostInfo;
  readonly devices: HostDevices;
  readonly injection: Injection;
  /** /proc/self/mountinfo; only looked at for mounts that propagate. */
  readonly mountinfo: string;
  readonly findContainer: FindContainer;
}

const ociVersion = "1.2.1";
const initInContainer = "/sbin/docker-init";

/** Throws plain errors for what only the start can find out: dockerd calls them failures of its own. */
export function specOf(input: SpecInput): Spec {
  const { container, host } = input;
  const { config, hostConfig } = container;
  const security = parseSecurityOptions(hostConfig.SecurityOpt, input.hasNoNewPrivileges);
  const process = processOf(input, security);
  const capabilities = process.capabilities?.bounding ?? [];
  const { injection } = input;
  const access = withInjected(deviceAccess(hostConfig, input.devices), injection);
  const seccomp = seccompOf(input, security, capabilities);
  const rootfsPropagation = rootPropagationOf(input.mounts, input.mountinfo);
  const sysctl = sysctlsOf(config.Domainname, hostConfig, input);
  return {
    ociVersion,
    process,
    root: { path: "rootfs", ...(hostConfig.ReadonlyRootfs ? { readonly: true } : {}) },
    ...(hostConfig.UTSMode !== "host" ? { hostname: config.Hostname } : {}),
    mounts: [
      ...mountsOf({
        hostConfig,
        mounts: input.mounts,
        injected: injection.mounts,
        areCgroupsWritable: areCgroupsWritable(input, security),
        host,
      }),
      ...(hasInit(input)
        ? [{ destination: initInContainer, type: "bind", source: input.initPath, options: ["bind", "ro"] }]
        : []),
    ],
    ...(Object.keys(injection.hooks).length === 0 ? {} : { hooks: injection.hooks }),
    ...(hostConfig.Annotations === null ? {} : { annotations: hostConfig.Annotations }),
    linux: {
      ...(Object.keys(sysctl).length === 0 ? {} : { sysctl }),
      ...userNamespaceOf(
        input,
        namespacesOf(container, joinedNamespaces(hostConfig, input.networkNamespace, input.findContainer)),
      ),
      ...(access.devices.length === 0 ? {} : { devices: access.devices }),
      cgroupsPath: posix.join(hostConfig.CgroupParent || input.cgroupParent || "/docker", container.id),
      resources: { devices: access.rules, ...resourcesOf(hostConfig, input.devices.block) },
      ...(injection.intelRdt === undefined ? {} : { intelRdt: injection.intelRdt }),
      ...(seccomp === undefined ? {} : { seccomp }),
      ...(rootfsPropagation === undefined ? {} : { rootfsPropagation }),
      ...pathsOf("maskedPaths", hostConfig.MaskedPaths),
      ...pathsOf("readonlyPaths", hostConfig.ReadonlyPaths),
    },
  };
}

/** A CDI device takes the place of what is mapped to the same path. */
function withInjected({ devices, rules }: DeviceAccess, injection: Injection): DeviceAccess {
  const taken = new Set(injection.devices.map(({ path }) => path));
  return {
    devices: [...devices.filter(({ path }) => !taken.has(path)), ...injection.devices],
    rules: [...rules, ...injection.rules],
  };
}

function userNamespaceOf(
  { userRemap, userNamespace: path }: SpecInput,
  namespaces: Namespace[],
): Pick<Linux, "namespaces" | "uidMappings" | "gidMappings"> {
  if (userRemap === undefined) return { namespaces };
  const { uids, gids } = userRemap.mappings;
  const user = { type: "user", ...(path === undefined ? {} : { path }) } as const;
  return { namespaces: [user, ...namespaces], uidMappings: [...uids], gidMappings: [...gids] };
}

/** In a user namespace the mount of the cgroups cannot be made read-only (moby). */
function areCgroupsWritable({ container, userRemap }: SpecInput, security: SecurityOptions): boolean {
  if (userRemap === undefined) return security.areCgroupsWritable ?? container.hostConfig.Privileged;
  if (security.areCgroupsWritable === undefined) return true;
  throw new Error("option WritableCgroups conflicts with user namespaces and rootless mode");
}

function processOf(input: SpecInput, security: SecurityOptions): Process {
  const { container, host, readFile, injection } = input;
  const { config, hostConfig } = container;
  const user = resolveUser(config.User, hostConfig.GroupAdd ?? [], readFile);
  const granted = chooseCapabilities(hostConfig, host);
  const [height = 0, width = 0] = hostConfig.ConsoleSize ?? [];
  const env = containerEnvironment(config, config.Tty, input.linkEnvironment);
  const command = [container.path, ...container.args];
  const rlimits = rlimitsOf(hostConfig, input.ulimits);
  return {
    ...(config.Tty ? { terminal: true } : {}),
    ...(config.Tty && (height > 0 || width > 0) ? { consoleSize: { height, width } } : {}),
    user: { ...user, additionalGids: [...new Set([...(user.additionalGids ?? []), ...injection.additionalGids])] },
    args: hasInit(input) ? [initInContainer, "--", ...command] : command,
    env: withHome(overrideEnvironment(env, injection.env), () => homeOf(user.uid, readFile)),
    cwd: config.WorkingDir === "" ? "/" : config.WorkingDir,
    capabilities: { bounding: granted, effective: granted, permitted: granted },
    ...(rlimits.length === 0 ? {} : { rlimits }),
    ...(security.hasNoNewPrivileges ? { noNewPrivileges: true } : {}),
    ...appArmorOf(hostConfig, security, host),
    oomScoreAdj: Number(hostConfig.OomScoreAdj),
  };
}

/** An init makes sense only where there is none already: not in the host's or another container's PID namespace. */
function hasInit(input: SpecInput): boolean {
  const { Init, PidMode } = input.container.hostConfig;
  const isOwnPid = PidMode !== "host" && containerOf(PidMode) === undefined;
  return isOwnPid && (Init ?? input.isInitDefault ?? false);
}

/** The container's own limits, then the daemon's for what it does not name. */
export function rlimitsOf(hostConfig: HostConfig, defaults: SpecDefaults["ulimits"] = {}): Rlimit[] {
  const own = (hostConfig.Ulimits ?? []).flatMap((ulimit) => ulimit ?? []);
  const named = new Set(own.map((ulimit) => ulimit.Name));
  const missing = Object.entries(defaults).flatMap(([name, ulimit]) => (named.has(name) ? [] : [ulimit]));
  return [...own, ...missing].map(({ Name, Soft, Hard }) => ({
    type: `RLIMIT_${Name.toUpperCase()}`,
    soft: unsigned(Soft),
    hard: unsigned(Hard),
  }));
}

/** Docker's -1 is Go's uint64(-1): RLIM_INFINITY. */
const unsigned = (limit: Uint64): Uint64 => (limit < 0 ? 0xffff_ffff_ffff_ffffn : limit);

export function appArmorOf(
  hostConfig: HostConfig,
  security: SecurityOptions,
  host: HostInfo,
): Pick<Process, "apparmorProfile"> {
  return host.canConfine ? { apparmorProfile: profileOf(hostConfig, security) } : {};
}

function seccompOf(input: SpecInput, security: SecurityOptions, capabilities: string[]): Seccomp | undefined {
  const { host, container } = input;
  const wanted = security.seccomp;
  const target = { capabilities, architecture: host.architecture, kernel: host.kernel };
  if (wanted === "unconfined") return undefined;
  if (container.hostConfig.Privileged) return wanted === "" ? undefined : customFilter(wanted, target);
  if (!host.hasSeccomp) {
    if (wanted === "" || wanted === "builtin") return undefined;
    throw new EngineError("system", "seccomp is not enabled in your kernel, cannot run a custom seccomp profile");
  }
  const profile = wanted === "" ? (input.seccompProfile ?? "") : wanted;
  if (profile === "unconfined") return undefined;
  return profile === "" || profile === "builtin" ? defaultFilter(target) : customFilter(profile, target);
}

function sysctlsOf(domainname: string, hostConfig: HostConfig, { host, userRemap }: SpecInput): Record<string, string> {
  const defaults = { ...host.defaultSysctls };
  // All groups are more than a user namespace has.
  if (userRemap !== undefined) delete defaults["net.ipv4.ping_group_range"];
  return {
    ...(domainname === "" ? {} : { "kernel.domainname": domainname }),
    ...(hasOwnNetworkStack(hostConfig.NetworkMode) ? defaults : {}),
    ...hostConfig.Sysctls,
  };
}

const pathsOf = <K extends "maskedPaths" | "readonlyPaths">(key: K, paths: string[] | null): { [P in K]?: string[] } =>
  paths === null || paths.length === 0 ? {} : ({ [key]: paths } as { [P in K]?: string[] });
