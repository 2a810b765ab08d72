/**
 * The daemon's configuration: dockerd's flags and daemon.json, merged, checked and typed once at the start.
 * Nothing else reads the command line, the file or the environment.
 */

import type { IdMappings } from "#base/id-mappings";
import type { DefaultBridgeConfig } from "#engine";

/** An OCI runtime that `--runtime NAME` may ask for. */
export interface RuntimeConfig {
  readonly path: string;
  readonly args: readonly string[];
}

export interface UlimitConfig {
  readonly Name: string;
  readonly Hard: number;
  readonly Soft: number;
}

export interface TlsConfig {
  readonly isEnabled: boolean;
  /** Clients must show a certificate that `caFile` signed. */
  readonly isClientVerified: boolean;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export type DaemonLogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal";

export interface DaemonConfig {
  /** Normalised: `unix:///path`, `tcp://address:port` or `fd://name`. Never empty. */
  readonly hosts: readonly string[];
  readonly socketGroup: string;
  readonly tls: TlsConfig;

  readonly dataRoot: string;
  readonly execRoot: string;
  readonly pidfile: string;
  /** Where daemon.json was looked for: SIGHUP reads it again. */
  readonly configFile: string;

  /** Options that were given and mean nothing to this engine, by their keys. */
  readonly ignored: readonly string[];
  readonly isDebug: boolean;
  readonly logLevel: DaemonLogLevel;
  readonly logFormat: "text" | "json";
  readonly isExperimental: boolean;
  readonly labels: readonly string[];
  readonly metricsAddress: string;
  readonly shutdownTimeoutSeconds: number;
  readonly features: Readonly<Record<string, boolean>>;
  readonly authorizationPlugins: readonly string[];
  /** The oldest API version that is answered ("1.24"; DOCKER_MIN_API_VERSION raises it). */
  readonly minApiVersion: string;

  readonly bridge: DefaultBridgeConfig;
  readonly defaultAddressPools: readonly { readonly base: string; readonly size: number }[];
  readonly defaultNetworkOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly dns: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly hostGatewayIps: readonly string[];

  readonly registryMirrors: readonly string[];
  readonly insecureRegistries: readonly string[];
  readonly maxConcurrentDownloads: number;
  readonly maxConcurrentUploads: number;
  readonly maxDownloadAttempts: number;
  readonly proxies: { readonly http: string; readonly https: string; readonly no: string };

  readonly storageDriver: string;
  readonly storageOptions: readonly string[];

  readonly runtimes: Readonly<Record<string, RuntimeConfig>>;
  /** Undefined when nobody chose one: the engine's own. */
  readonly defaultRuntime: string | undefined;
  readonly execOptions: readonly string[];
  readonly cgroupParent: string;
  /** Empty for the host's default: "host" on cgroup v1, "private" on v2. */
  readonly defaultCgroupnsMode: "" | "host" | "private";
  readonly defaultIpcMode: "private" | "shareable";
  readonly defaultShmSizeBytes: number;
  readonly defaultUlimits: Readonly<Record<string, UlimitConfig>>;
  readonly hasInitByDefault: boolean;
  readonly initPath: string;
  readonly hasNoNewPrivileges: boolean;
  /** `builtin`, `unconfined`, or the path of a profile. */
  readonly seccompProfile: string;
  readonly isSelinuxEnabled: boolean;
  readonly usernsRemap: string;
  /** What `usernsRemap` means on this host; undefined without it. */
  readonly idMappings?: IdMappings;
  readonly isLiveRestoreEnabled: boolean;
  readonly logDriver: string;
  readonly logOptions: Readonly<Record<string, string>>;
  /** Undefined with the feature off. */
  readonly cdiSpecDirs: readonly string[] | undefined;
}
