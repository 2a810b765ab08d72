import { goQuote } from "#base/strconv";
import { parseHost } from "./hosts.ts";
import * as kinds from "./values.ts";
import { cut, type Kind, type Setting } from "./values.ts";

/** One option of dockerd: `--flag`, and `key` in daemon.json. */
export interface Option {
  readonly flag: string;
  readonly shorthand?: string;
  readonly key: string;
  readonly kind: Kind;
  /** What holds when nobody says otherwise; shown in the help. */
  readonly fallback?: Setting;
  readonly help: string;
  /** Taken so that existing configurations work; there is nothing here that it could change. */
  readonly isIgnored?: boolean;
}

const option = (flag: string, kind: Kind, help: string, more: Partial<Option> = {}): Option => ({
  flag,
  key: flag,
  kind,
  help,
  ...more,
});

function checkLabel(label: string): void {
  if (!label.includes("=")) throw new Error(`bad attribute format: ${label}`);
  if (/^(com\.docker|io\.docker|org\.dockerproject)\./i.test(label)) {
    const reserved = "the namespaces com.docker.*, io.docker.*, and org.dockerproject.* are reserved for internal use";
    throw new Error(`label ${label} is not allowed: ${reserved}`);
  }
}

function checkMirror(mirror: string): void {
  const [scheme, rest] = cut(mirror, "://");
  if (rest === undefined || (scheme !== "http" && scheme !== "https")) {
    const reason = `unsupported scheme ${goQuote(rest === undefined ? "" : scheme)} in ${goQuote(mirror)}`;
    throw new Error(`invalid mirror: ${reason}: must use either 'https://' or 'http://'`);
  }
}

function checkDomain(domain: string): void {
  const name = domain.trim();
  const label = "[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?";
  const isDomain = /[a-zA-Z]/.test(name) && new RegExp(`^${label}(\\.${label})*\\.?$`).test(name) && name.length < 255;
  if (name !== "." && !isDomain) throw new Error(`${name} is not a valid domain`);
}

const checkHost = (host: string): void => void parseHost(host, false);

/** In the order of moby's cmd/dockerd. */
export const options: readonly Option[] = [
  option("debug", kinds.flag, "Enable debug mode", { shorthand: "D" }),
  option("log-level", kinds.text, 'Set the logging level ("debug"|"info"|"warn"|"error"|"fatal")', {
    shorthand: "l",
    fallback: "info",
  }),
  option("log-format", kinds.text, 'Set the logging format ("text"|"json")', { fallback: "text" }),
  option("tls", kinds.flag, "Use TLS; implied by --tlsverify"),
  option("tlsverify", kinds.flag, "Use TLS and verify the remote"),
  option("tlscacert", kinds.text, "Trust certs signed only by this CA"),
  option("tlscert", kinds.text, "Path to TLS certificate file"),
  option("tlskey", kinds.text, "Path to TLS key file"),
  option("host", kinds.list(checkHost), "Daemon socket(s) to connect to", { shorthand: "H", key: "hosts" }),
  option("group", kinds.text, "Group for the unix socket", { shorthand: "G", fallback: "docker" }),

  option("pidfile", kinds.text, "Path to use for daemon PID file", { shorthand: "p", fallback: "/var/run/docker.pid" }),
  option("data-root", kinds.text, "Root directory of persistent Docker state", { fallback: "/var/lib/docker" }),
  option("exec-root", kinds.text, "Root directory for execution state files", { fallback: "/var/run/docker" }),
  option("label", kinds.list(checkLabel), "Set key=value labels to the daemon", { key: "labels" }),
  option("experimental", kinds.flag, "Enable experimental features"),
  option("feature", kinds.switches, "Enable feature in the daemon", { key: "features" }),
  option("metrics-addr", kinds.text, "Set default address and port to serve the metrics api on"),
  option("shutdown-timeout", kinds.integer, "Set the default shutdown timeout", { fallback: 15 }),
  option("authorization-plugin", kinds.list(), "Authorization plugins to load", { key: "authorization-plugins" }),

  option("bridge", kinds.text, "Attach containers to a network bridge", { shorthand: "b" }),
  option("bip", kinds.text, "IPv4 address for the default bridge"),
  option("bip6", kinds.text, "IPv6 address for the default bridge"),
  option("fixed-cidr", kinds.text, "IPv4 subnet for the default bridge network"),
  option("fixed-cidr-v6", kinds.text, "IPv6 subnet for the default bridge network"),
  option("default-gateway", kinds.address, "Default gateway IPv4 address for the default bridge network"),
  option("default-gateway-v6", kinds.address, "Default gateway IPv6 address for the default bridge network"),
  option("icc", kinds.flag, "Enable inter-container communication for the default bridge network", { fallback: true }),
  option("ip", kinds.address, "Host IP for port publishing from the default bridge network", { fallback: "0.0.0.0" }),
  option("mtu", kinds.integer, 'Set the MTU for the default "bridge" network', { fallback: 1500 }),
  option("ipv6", kinds.flag, "Enable IPv6 networking for the default bridge network"),
  option("ip-masq", kinds.flag, "Enable IP masquerading for the default bridge network", { fallback: true }),
  option("ip-forward", kinds.flag, "Enable IP forwarding in system configuration", { fallback: true }),
  option("ip-forward-no-drop", kinds.flag, "Do not set the filter-FORWARD policy to DROP"),
  option("iptables", kinds.flag, "Enable addition of firewall rules", { fallback: true }),
  option("ip6tables", kinds.flag, "Enable addition of IPv6 firewall rules", { fallback: true }),
  option("userland-proxy", kinds.flag, "Use userland proxy for loopback traffic", { fallback: true }),
  option("userland-proxy-path", kinds.text, "Path to the userland proxy binary", { isIgnored: true }),
  option("allow-direct-routing", kinds.flag, "Allow remote access to published ports on container IP addresses"),
  option("default-address-pool", kinds.pools, "Default address pools for node specific local networks", {
    key: "default-address-pools",
  }),
  option("default-network-opt", kinds.mapOfMaps, "Default network options", { key: "default-network-opts" }),
  option("dns", kinds.addresses, "DNS server to use"),
  option("dns-opt", kinds.list(), "DNS options to use", { key: "dns-opts" }),
  option("dns-search", kinds.list(checkDomain), "DNS search domains to use"),
  option("host-gateway-ip", kinds.addresses, "IP addresses that 'host-gateway' in --add-host resolves to", {
    key: "host-gateway-ips",
  }),
  option("network-control-plane-mtu", kinds.integer, "Network Control plane MTU", { isIgnored: true }),

  option("registry-mirror", kinds.list(checkMirror), "Preferred Docker registry mirror", { key: "registry-mirrors" }),
  option("insecure-registry", kinds.list(), "Enable insecure registry communication", { key: "insecure-registries" }),
  option("max-concurrent-downloads", kinds.integer, "Set the max concurrent downloads", { fallback: 3 }),
  option("max-concurrent-uploads", kinds.integer, "Set the max concurrent uploads", { fallback: 5 }),
  option("max-download-attempts", kinds.integer, "Set the max download attempts for each pull", { fallback: 5 }),
  option("http-proxy", kinds.text, "HTTP proxy URL to use for outgoing traffic"),
  option("https-proxy", kinds.text, "HTTPS proxy URL to use for outgoing traffic"),
  option("no-proxy", kinds.text, "Comma-separated list of hosts or IP addresses for which the proxy is skipped"),

  option("storage-driver", kinds.text, "Storage driver to use", { shorthand: "s" }),
  option("storage-opt", kinds.list(), "Storage driver options", { key: "storage-opts" }),

  option("add-runtime", kinds.runtimes, "Register an additional OCI compatible runtime", { key: "runtimes" }),
  option("default-runtime", kinds.text, "Default OCI runtime for containers"),
  option("exec-opt", kinds.list(), "Runtime execution options", { key: "exec-opts" }),
  option("cgroup-parent", kinds.text, "Set parent cgroup for all containers"),
  option("default-cgroupns-mode", kinds.text, 'Default mode for containers cgroup namespace ("host" | "private")'),
  option("default-ipc-mode", kinds.text, 'Default mode for containers ipc ("shareable" | "private")', {
    fallback: "private",
  }),
  option("default-shm-size", kinds.bytes, "Default shm size for containers", { fallback: 64 << 20 }),
  option("default-ulimit", kinds.ulimits, "Default ulimits for containers", { key: "default-ulimits" }),
  option("init", kinds.flag, "Run an init in the container to forward signals and reap processes"),
  option("init-path", kinds.text, "Path to the docker-init binary"),
  option("no-new-privileges", kinds.flag, "Set no-new-privileges by default for new containers"),
  option("seccomp-profile", kinds.text, 'Path to seccomp profile, or "unconfined"', { fallback: "builtin" }),
  option("selinux-enabled", kinds.flag, "Enable selinux support"),
  option("userns-remap", kinds.text, "User/Group setting for user namespaces"),
  option("live-restore", kinds.flag, "Keep containers alive while the daemon is down (they always are)"),
  option("log-driver", kinds.text, "Default driver for container logs", { fallback: "json-file" }),
  option("log-opt", kinds.map, "Default log driver options for containers", { key: "log-opts" }),
  option("cdi-spec-dir", kinds.list(), "CDI specification directories to use", { key: "cdi-spec-dirs" }),

  option("containerd", kinds.text, "containerd grpc address", { isIgnored: true }),
  option("containerd-namespace", kinds.text, "Containerd namespace to use", { isIgnored: true }),
  option("containerd-plugins-namespace", kinds.text, "Containerd namespace to use for plugins", { isIgnored: true }),
  option("cri-containerd", kinds.flag, "start containerd with cri", { isIgnored: true }),
  option("cpu-rt-period", kinds.integer, "Limit the CPU real-time period of the parent cgroup", { isIgnored: true }),
  option("cpu-rt-runtime", kinds.integer, "Limit the CPU real-time runtime of the parent cgroup", { isIgnored: true }),
  option("network-diagnostic-port", kinds.integer, "TCP port of the network diagnostic server", { isIgnored: true }),
  option("restart", kinds.flag, "Restart containers at the start (they always are)", {
    shorthand: "r",
    isIgnored: true,
  }),
  option("allow-nondistributable-artifacts", kinds.list(), "Push nondistributable artifacts", { isIgnored: true }),
  option("api-cors-header", kinds.text, "Set CORS headers in the Engine API", { isIgnored: true }),
  option("node-generic-resource", kinds.list(), "Advertise user-defined resource", {
    key: "node-generic-resources",
    isIgnored: true,
  }),
  option("raw-logs", kinds.flag, "Full timestamps without ANSI coloring", { isIgnored: true }),
  option("rootless", kinds.flag, "Enable rootless mode", { isIgnored: true }),
  option("swarm-default-advertise-addr", kinds.text, "Set default address for swarm", { isIgnored: true }),
];

/** Keys of daemon.json that have no flag. */
export const fileOnlyKeys: ReadonlySet<string> = new Set([
  "features",
  "builder",
  "deprecated-key-path",
  "host-gateway-ip",
]);
