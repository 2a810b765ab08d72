import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { messageOf } from "#base/errors";
import { parseBool } from "#base/strconv";
import { describeFlags, type FlagSpec, parseFlags } from "#cli/flags";
import type { DefaultBridgeConfig } from "#engine";
import type { DaemonConfig, DaemonLogLevel, RuntimeConfig, TlsConfig, UlimitConfig } from "./config.ts";
import { readConfigFile, type Settings } from "./file.ts";
import { normalizeHosts } from "./hosts.ts";
import { type Option, options } from "./options.ts";
import { proxiesOf } from "./proxies.ts";
import { Reader } from "./reader.ts";
import { type Configuration, configurationOf, reloaded } from "./running.ts";
import { checkTlsFiles } from "./tls-files.ts";
import { validateSettings } from "./validate.ts";
import { display, type Setting } from "./values.ts";

/** What the command line asks for. */
export type Invocation =
  | { readonly kind: "run"; readonly configuration: Configuration }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "version" }
  | { readonly kind: "validated" };

const defaultConfigFile = "/etc/docker/daemon.json";

const ownFlags: readonly FlagSpec[] = [
  { name: "config-file", valueName: "string", help: `Daemon configuration file (default "${defaultConfigFile}")` },
  { name: "validate", valueName: "", help: "Validate daemon configuration and exit", check: parseBool },
  { name: "version", shorthand: "v", valueName: "", help: "Print version information and quit", check: parseBool },
  { name: "help", shorthand: "h", valueName: "", help: "Print usage", check: parseBool },
];

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads flags, daemon.json and environment. Throws one error, ready to be printed. */
export function loadConfig(argv: readonly string[], environment: Environment): Invocation {
  const { values, rest } = parseFlags(argv, [...ownFlags, ...options.map(flagSpec)]);
  const isSet = (flag: string) => values.get(flag)?.at(-1) !== undefined && parseBool(values.get(flag)?.at(-1) ?? "");
  if (isSet("help")) return { kind: "help", text: usage() };
  if (isSet("version")) return { kind: "version" };
  if (rest.length > 0) throw new Error(`"minidockd" accepts no arguments.\nSee 'minidockd --help'.`);

  const configFile = values.get("config-file")?.at(-1) ?? defaultConfigFile;
  const flags = flagSettings(values);
  const settings = mergeFile(configFile, flags, values.has("config-file"));
  const readAgain = () => readConfigFile(configFile, flags, values.has("config-file")) ?? new Map();
  const change = (running: Settings) => reloaded(running, readAgain(), flags);
  const configuration = configurationOf(settings, change, (merged) => toConfig(merged, configFile, environment));
  checkTlsFiles(configuration.config.tls);
  return isSet("validate") ? { kind: "validated" } : { kind: "run", configuration };
}

export const usage = (): string =>
  `\nUsage:  minidockd [OPTIONS]\n\nA Docker-compatible engine.\n\nOptions:\n${describeFlags([...ownFlags, ...options.map(flagSpec)])}`;

function flagSpec(option: Option): FlagSpec {
  const { flag: name, shorthand, kind, fallback, help, isIgnored = false } = option;
  const byDefault =
    fallback === undefined ? "" : ` (default ${typeof fallback === "string" ? `"${fallback}"` : display(fallback)})`;
  return {
    name,
    ...(shorthand === undefined ? {} : { shorthand }),
    valueName: kind.valueName,
    help: help + byDefault,
    isHidden: isIgnored,
    check: (text) => void kind.add(undefined, text),
  };
}

function flagSettings(values: ReadonlyMap<string, readonly string[]>): Settings {
  const settings = new Map<string, Setting>();
  for (const { flag, key, kind } of options) {
    for (const text of values.get(flag) ?? []) settings.set(key, kind.add(settings.get(key), text));
  }
  return settings;
}

function mergeFile(path: string, flags: Settings, isRequired: boolean): Settings {
  const file = readConfigFile(path, flags, isRequired);
  if (file === undefined) {
    validateSettings(flags);
    return flags;
  }
  const merged = new Map([...file, ...flags]);
  // The one key that may stand in both: what they say is put together.
  const [left, right] = [file.get("runtimes"), flags.get("runtimes")];
  if (left !== undefined && right !== undefined) merged.set("runtimes", Object.assign({}, left, right));
  try {
    validateSettings(merged);
  } catch (error) {
    const reason = messageOf(error);
    const what = "merged configuration validation from file and command line flags failed";
    throw new Error(`unable to configure the Docker daemon with file ${path}: ${what}: ${reason}`, { cause: error });
  }
  return merged;
}

function toConfig(settings: Settings, configFile: string, environment: Environment): DaemonConfig {
  const s = new Reader(settings);
  const tls = tlsConfig(s, environment);
  return {
    hosts: normalizeHosts(s.list("hosts"), tls.isEnabled),
    ignored: options.filter(({ key, isIgnored }) => isIgnored === true && settings.has(key)).map(({ key }) => key),
    socketGroup: s.text("group"),
    tls,
    dataRoot: s.text("data-root"),
    execRoot: s.text("exec-root"),
    pidfile: s.text("pidfile"),
    configFile,
    isDebug: s.flag("debug"),
    logLevel: logLevel(s),
    logFormat: s.text("log-format") === "json" ? "json" : "text",
    isExperimental: s.flag("experimental"),
    labels: [...new Set(s.list("labels"))],
    metricsAddress: s.text("metrics-addr"),
    shutdownTimeoutSeconds: s.number("shutdown-timeout"),
    features: featuresOf(s),
    authorizationPlugins: s.list("authorization-plugins"),
    minApiVersion: environment.DOCKER_MIN_API_VERSION ?? "1.24",
    bridge: bridgeConfig(s),
    defaultAddressPools: s.items("default-address-pools", (pool) => ({
      base: pool.text("base"),
      size: pool.number("size"),
    })),
    defaultNetworkOptions: s.record("default-network-opts", (_, network) => network.record("", String)),
    dns: s.list("dns"),
    dnsOptions: s.list("dns-opts"),
    dnsSearch: s.list("dns-search"),
    hostGatewayIps: s.list("host-gateway-ips"),
    registryMirrors: s.list("registry-mirrors"),
    insecureRegistries: s.list("insecure-registries"),
    maxConcurrentDownloads: s.number("max-concurrent-downloads"),
    maxConcurrentUploads: s.number("max-concurrent-uploads"),
    maxDownloadAttempts: s.number("max-download-attempts"),
    proxies: proxiesOf(
      { http: s.text("http-proxy"), https: s.text("https-proxy"), no: s.text("no-proxy") },
      environment,
    ),
    storageDriver: s.text("storage-driver"),
    storageOptions: s.list("storage-opts"),
    ...containerConfig(s),
  };
}

type ContainerConfig = Pick<
  DaemonConfig,
  | "runtimes"
  | "defaultRuntime"
  | "execOptions"
  | "cgroupParent"
  | "defaultCgroupnsMode"
  | "defaultIpcMode"
  | "defaultShmSizeBytes"
  | "defaultUlimits"
  | "hasInitByDefault"
  | "initPath"
  | "hasNoNewPrivileges"
  | "seccompProfile"
  | "isSelinuxEnabled"
  | "usernsRemap"
  | "isLiveRestoreEnabled"
  | "logDriver"
  | "logOptions"
  | "cdiSpecDirs"
>;

function containerConfig(s: Reader): ContainerConfig {
  const cgroupns = s.text("default-cgroupns-mode");
  return {
    runtimes: s.record(
      "runtimes",
      (_, runtime): RuntimeConfig => ({ path: runtime.text("path"), args: runtime.list("runtimeArgs") }),
    ),
    defaultRuntime: s.text("default-runtime") || undefined,
    execOptions: s.list("exec-opts"),
    cgroupParent: s.text("cgroup-parent"),
    defaultCgroupnsMode: cgroupns === "host" || cgroupns === "private" ? cgroupns : "",
    defaultIpcMode: s.text("default-ipc-mode") === "shareable" ? "shareable" : "private",
    defaultShmSizeBytes: s.bytes("default-shm-size"),
    defaultUlimits: s.record(
      "default-ulimits",
      (_, limit, name): UlimitConfig => ({
        Name: limit.text("Name") || name,
        Hard: limit.number("Hard"),
        Soft: limit.number("Soft"),
      }),
    ),
    hasInitByDefault: s.flag("init"),
    initPath: s.text("init-path"),
    hasNoNewPrivileges: s.flag("no-new-privileges"),
    seccompProfile: s.text("seccomp-profile") || "builtin",
    isSelinuxEnabled: s.flag("selinux-enabled"),
    usernsRemap: s.text("userns-remap"),
    isLiveRestoreEnabled: s.flag("live-restore"),
    logDriver: s.text("log-driver"),
    logOptions: s.record("log-opts", String),
    cdiSpecDirs: cdiSpecDirs(s),
  };
}

function cdiSpecDirs(s: Reader): string[] | undefined {
  if (featuresOf(s).cdi === false) return undefined;
  if (!s.has("cdi-spec-dirs")) return ["/etc/cdi", "/var/run/cdi"];
  return s.list("cdi-spec-dirs").filter((dir) => dir !== "");
}

const featuresOf = (s: Reader) => s.record("features", (value) => value === true);

function bridgeConfig(s: Reader): DefaultBridgeConfig {
  return {
    name: s.text("bridge"),
    bip: s.text("bip"),
    bip6: s.text("bip6"),
    fixedCidr: s.text("fixed-cidr"),
    fixedCidrV6: s.text("fixed-cidr-v6"),
    defaultGateway: s.text("default-gateway"),
    defaultGatewayV6: s.text("default-gateway-v6"),
    isIccEnabled: s.flag("icc"),
    defaultBindingAddress: s.text("ip"),
    mtu: s.number("mtu"),
    isIpv6Enabled: s.flag("ipv6"),
    isMasqueraded: s.flag("ip-masq"),
    isForwardingEnabled: s.flag("ip-forward"),
    isForwardingOpen: s.flag("ip-forward-no-drop"),
    isFirewallEnabled: s.flag("iptables"),
    isFirewall6Enabled: s.flag("ip6tables"),
    isUserlandProxyEnabled: s.flag("userland-proxy"),
    isDirectRoutingAllowed: s.flag("allow-direct-routing"),
  };
}

/** To ask for verification at all turns TLS on; TLS without a word about it verifies. */
function tlsConfig(s: Reader, environment: Environment): TlsConfig {
  const isVerifySaid = s.has("tlsverify");
  const isAskedByEnvironment = !isVerifySaid && (environment.DOCKER_TLS_VERIFY ?? "") !== "";
  const isEnabled = s.flag("tls") || isVerifySaid || isAskedByEnvironment;
  const folder = environment.DOCKER_CERT_PATH || environment.DOCKER_CONFIG || join(homedir(), ".docker");
  const file = (key: string, name: string) => {
    if (s.has(key)) return s.text(key);
    const byDefault = join(folder, name);
    return key === "tlscacert" || existsSync(byDefault) ? byDefault : "";
  };
  return {
    isEnabled,
    isClientVerified: isVerifySaid ? s.flag("tlsverify") : isEnabled,
    caFile: isEnabled ? file("tlscacert", "ca.pem") : "",
    certFile: isEnabled ? file("tlscert", "cert.pem") : "",
    keyFile: isEnabled ? file("tlskey", "key.pem") : "",
  };
}

const logLevels: Readonly<Record<string, DaemonLogLevel>> = {
  panic: "fatal",
  fatal: "fatal",
  error: "error",
  warn: "warn",
  info: "info",
  debug: "debug",
  trace: "trace",
};

function logLevel(s: Reader): DaemonLogLevel {
  return s.flag("debug") ? "debug" : (logLevels[s.text("log-level").toLowerCase()] ?? "info");
}
