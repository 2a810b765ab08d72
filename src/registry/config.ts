import { lookup } from "node:dns/promises";
import { readdir, readFile } from "node:fs/promises";
import { BlockList, isIP } from "node:net";
import { basename, extname, join } from "node:path";
import { EngineError, errnoOf } from "#base/errors";
import type { TlsOptions } from "./client.ts";
import { isRegistryDomain } from "./reference.ts";

/** The daemon's `insecure-registries` and `registry-mirrors`, checked once. */
export interface RegistryOptions {
  readonly insecureRegistries?: readonly string[];
  readonly mirrors?: readonly string[];
  /** `/etc/docker/certs.d`: one folder for each host with `*.crt`, `*.cert` and `*.key`. */
  readonly certsDir?: string;
}

export interface Endpoint {
  /** `https://host:port[/prefix]`, no slash at the end. */
  readonly base: string;
  readonly isMirror: boolean;
  readonly tls: TlsOptions;
}

export const hubDomain = "docker.io";
export const indexHost = "index.docker.io";
const hubEndpoint = "https://registry-1.docker.io";
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
  async endpoints(domain: string, purpose: "pull" | "push"): Promise<Endpoint[]> {
    if (domain === hubDomain || domain === indexHost) {
      const mirrors = purpose === "pull" ? await Promise.all(this.mirrors.map((url) => this.#mirror(url))) : [];
      return [...mirrors, { base: hubEndpoint, isMirror: false, tls: { isVerified: true, ca: [], certificates: [] } }];
    }
    const tls = await this.tlsOf(domain);
    const secure: Endpoint = { base: `https://${domain}`, isMirror: false, tls };
    return tls.isVerified ? [secure] : [secure, { ...secure, base: `http://${domain}` }];
  }

  async tlsOf(host: string): Promise<TlsOptions> {
    if (await this.#isInsecure(host)) return { isVerified: false, ca: [], certificates: [] };
    return readCertificates(join(this.#certsDir, host.replaceAll("/", "")));
  }

  async #mirror(url: string): Promise<Endpoint> {
    return { base: url.replace(/\/$/, ""), isMirror: true, tls: await this.tlsOf(new URL(url).host) };
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

async function readCertificates(folder: string): Promise<TlsOptions> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return [];
    throw new EngineError("invalidParameter", `cannot read ${folder}`, { cause: error });
  });
  for (const name of names) checkPair(names, name);
  const read = (name: string) => readFile(join(folder, name));
  const roots = names.filter((name) => extname(name) === ".crt").sort();
  const pairs = names.filter((name) => extname(name) === ".cert").sort();
  return {
    isVerified: true,
    ca: await Promise.all(roots.map(async (name) => (await read(name)).toString("utf8"))),
    certificates: await Promise.all(
      pairs.map(async (name) => ({ cert: await read(name), key: await read(`${basename(name, ".cert")}.key`) })),
    ),
  };
}

function checkPair(names: readonly string[], name: string): void {
  const stem = name.slice(0, -extname(name).length);
  if (extname(name) === ".cert" && !names.includes(`${stem}.key`)) {
    throw invalid(
      `missing key ${stem}.key for client certificate ${name}. CA certificates must use the extension .crt`,
    );
  }
  if (extname(name) === ".key" && !names.includes(`${stem}.cert`)) {
    throw invalid(`missing client certificate ${stem}.cert for key ${name}`);
  }
}

const invalid = (message: string) => new EngineError("invalidParameter", message);
