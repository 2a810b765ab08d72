import { BlockList, isIP } from "node:net";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for a URL, as Go's httpproxy chooses it from the environment: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, or the
 * same in lower case. This machine itself is never asked through one.
 */
export function proxyOf(url: URL, environment: Environment): URL | undefined {
  const isTls = url.protocol === "https:";
  const text = isTls ? either(environment, "HTTPS_PROXY") : either(environment, "HTTP_PROXY");
  if (text === "" || isExcepted(url, either(environment, "NO_PROXY"))) return undefined;
  const full = /^[a-z0-9+]+:\/\//i.test(text) ? text : `http://${text}`;
  return URL.canParse(full) ? new URL(full) : undefined;
}

const either = (environment: Environment, name: string): string =>
  environment[name] || (environment[name.toLowerCase()] ?? "");

function isExcepted(url: URL, exceptions: string): boolean {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  if (host === "localhost" || loopback.check(host, familyOf(host))) return true;
  return exceptions.split(",").some((entry) => matches(entry.trim().toLowerCase(), host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === "" || entry === "*") return entry === "*";
  if (entry.includes("/")) return isInNetwork(entry, host);
  const [, name = entry, wantedPort] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry) ?? [];
  if (wantedPort !== undefined && wantedPort !== port) return false;
  const bare = name.replace(/^\[(.*)\]$/, "$1").replace(/^\*(?=\.)/, "");
  if (bare.startsWith(".")) return host.endsWith(bare);
  return host === bare || (isIP(bare) === 0 && host.endsWith(`.${bare}`));
}

function isInNetwork(cidr: string, host: string): boolean {
  const [address = "", bits = ""] = cidr.split("/");
  if (isIP(address) === 0 || isIP(host) !== isIP(address) || !/^\d+$/.test(bits)) return false;
  const network = new BlockList();
  network.addSubnet(address, Math.min(Number(bits), isIP(address) === 6 ? 128 : 32), familyOf(address));
  return network.check(host, familyOf(host));
}

const familyOf = (address: string): "ipv4" | "ipv6" => (isIP(address) === 6 ? "ipv6" : "ipv4");

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");
