import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { join } from "node:path";
import { EngineError } from "#base/errors";
import type { Credentials } from "./auth.ts";
import { readCertificates } from "./certificates.ts";
import type { Headers, TlsOptions } from "./client.ts";
import { RegistryError } from "./errors.ts";
import { type Capability, type RegistryHost, readHostsFile } from "./hosts-file.ts";
import { isRegistryDomain } from "./reference.ts";

/** The daemon's `insecure-registries` and `registry-mirrors`, checked once. */
export interface RegistryOptions {
  readonly insecureRegistries?: readonly string[];
  readonly mirrors?: readonly string[];
  /** `/etc/docker/certs.d`: one folder for each host with `*.crt`, `*.cert` and `*.key`, and `hosts.toml`. */
  readonly certsDir?: string;
}

export interface Endpoint {
  /** `https://host:port[/prefix]/v2`: the API's paths follow. */
  readonly api: string;
  readonly isMirror: boolean;
  readonly tls: TlsOptions;
  /** What the operator wrote for this host. A client's credentials are meant for the registry, not for it. */
  readonly own?: { readonly credentials: Credentials; readonly headers: Headers };
}

export const hubDomain = "docker.io";
export const indexHost = "index.docker.io";
const hubApi = "https://registry-1.docker.io/v2";
const defaultInsecure = ["::1/128", "127.0.0.0/8"];

/** Where to look for a registry, and how much to trust it (moby registry/config.go, service_v2.go). */
export class RegistryConfig {
  readonly mirrors: readonly string[];
  /** As `docker info` shows them. */
  readonly insecureCidrs: readonly string[];
  readonly insecureHosts: readonly string[];
  readonly #networks = new BlockList();
  readonly #certsDir: string;

  constructor(options: RegistryOptions) {
    this.mirrors = [...new Set((options.mirrors ?? []).map(checkMirror))];
    const entries = [...(options.insecureRegistries ?? []), ...defaultInsecure].map(checkInsecure);
    this.insecureCidrs = [...new Set(entries.filter(isCidr))];
    this.insecureHosts = [...new Set(entries.filter((entry) => !isCidr(entry)))];
    for (const cidr of this.insecureCidrs) {
      const [address = "", bits = ""] = cidr.split("/");
      this.#networks.addSubnet(address, Number(bits), isIP(address) === 6 ? "ipv6" : "ipv4");
    }
    this.#certsDir = options.certsDir ?? "/etc/docker/certs.d";
  }

  /** In order of preference: mirrors, TLS, and clear text where the registry is declared insecure. */
  async endpoints(domain: string, needs: readonly Capability[]): Promise<Endpoint[]> {
    const name = domain === indexHost ? hubDomain : domain;
    const file = await readHostsFile(this.#certsDir, name);
    const can = (host: RegistryHost) => needs.every((need) => host.capabilities.includes(need));
    const mirrors = (file?.hosts ?? []).filter(can).map((host) => this.#written(host, true));
    const server = file?.server === undefined ? await this.#upstream(name, needs) : [this.#written(file.server, false)];
    return [...(await Promise.all(mirrors)), ...(await Promise.all(server))];
  }

  async #upstream(name: string, needs: readonly Capability[]): Promise<Endpoint[]> {
    if (name === hubDomain) {
      const mirrors = needs.includes("push") ? [] : await Promise.all(this.mirrors.map((url) => this.#mirror(url)));
      return [...mirrors, { api: hubApi, isMirror: false, tls: { isVerified: true, ca: [], certificates: [] } }];
    }
    if (!URL.canParse(`https://${name}`)) throw unreachable(name);
    const tls = await this.tlsOf(name);
    const secure: Endpoint = { api: `https://${name}/v2`, isMirror: false, tls };
    return tls.isVerified ? [secure] : [secure, { ...secure, api: `http://${name}/v2` }];
  }

  async #written(host: RegistryHost, isMirror: boolean): Promise<Endpoint> {
    const known = await this.tlsOf(new URL(host.api).host);
    const tls: TlsOptions = {
      isVerified: host.isVerified && known.isVerified,
      ca: [...known.ca, ...host.ca],
      certificates: [...known.certificates, ...host.certificates],
    };
    const { credentials, headers } = host;
    // The registry itself gets what the client brought, unless the operator says otherwise.
    const isOwn = isMirror || Object.keys(credentials).length > 0;
    return { api: host.api, isMirror, tls, ...(isOwn ? { own: { credentials, headers } } : {}) };
  }

  async tlsOf(host: string): Promise<TlsOptions> {
    if (await this.#isInsecure(host)) return { isVerified: false, ca: [], certificates: [] };
    return readCertificates(join(this.#certsDir, host.replaceAll("/", "")));
  }

  async #mirror(url: string): Promise<Endpoint> {
    return { api: `${url.replace(/\/$/, "")}/v2`, isMirror: true, tls: await this.tlsOf(new URL(url).host) };
  }

  async #isInsecure(host: string): Promise<boolean> {
    if (this.insecureHosts.includes(host)) return true;
    const name = host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
    const addresses = isIP(name) === 0 ? await resolve(name) : [name];
    return addresses.some((address) => this.#networks.check(address, isIP(address) === 6 ? "ipv6" : "ipv4"));
  }
}

async function resolve(name: string): Promise<string[]> {
  try {
    return (await lookup(name, { all: true })).map(({ address }) => address);
  } catch {
    return []; // Unknown today: then no network matches, and the registry must prove itself by TLS.
  }
}

const isCidr = (entry: string): boolean => {
  const [address = "", bits = "", ...rest] = entry.split("/");
  const family = isIP(address);
  return rest.length === 0 && family !== 0 && /^\d+$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32);
};

function checkInsecure(entry: string): string {
  const name = entry === indexHost ? hubDomain : entry;
  if (name.startsWith("-") || name.endsWith("-")) {
    throw invalid(`invalid index name (${name}). Cannot begin or end with a hyphen`);
  }
  const host = name.replace(/^https?:\/\//i, "");
  if (host.includes("://")) throw invalid(`insecure registry ${host} should not contain '://'`);
  if (isCidr(host)) return host;
  const colon = host.lastIndexOf(":");
  const port = colon > host.lastIndexOf("]") ? host.slice(colon + 1) : "";
  if (!isRegistryDomain(host) && isIP(host) === 0) {
    throw invalid(
      `insecure registry ${host} is not valid: invalid host ${JSON.stringify(port === "" ? host : host.slice(0, colon))}`,
    );
  }
  if (port !== "" && Number(port) > 65535) {
    throw invalid(`insecure registry ${host} is not valid: invalid port ${JSON.stringify(port)}`);
  }
  return host;
}

function checkMirror(mirror: string): string {
  const text = JSON.stringify(mirror);
  if (!/^[^:]+:\/\//.test(mirror)) {
    throw invalid(`invalid mirror: no scheme specified for ${text}: must use either 'https://' or 'http://'`);
  }
  if (!URL.canParse(mirror)) throw invalid(`invalid mirror: ${text} is not a valid URI`);
  const url = new URL(mirror);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    const scheme = JSON.stringify(url.protocol.slice(0, -1));
    throw invalid(`invalid mirror: unsupported scheme ${scheme} in ${text}: must use either 'https://' or 'http://'`);
  }
  if (url.search !== "" || url.hash !== "")
    throw invalid(`invalid mirror: query or fragment at end of the URI ${text}`);
  if (url.username !== "" || url.password !== "") {
    url.password = "xxxxx";
    throw invalid(`invalid mirror: username/password not allowed in URI ${JSON.stringify(url.href)}`);
  }
  return `${mirror.replace(/\/$/, "")}/`;
}

/** What the grammar of references lets pass, and no URL can hold. */
function unreachable(name: string): RegistryError {
  const [, host = name, port = ""] = /^(.*?)(?::(\d+))?$/.exec(name) ?? [];
  const why = Number(port) > 65535 ? `address ${port}: invalid port` : `lookup ${host}: no such host`;
  return new RegistryError("transport", `Get "https://${name}/v2/": dial tcp: ${why}`);
}

const invalid = (message: string) => new EngineError("invalidParameter", message);
