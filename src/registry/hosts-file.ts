import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parse, type TomlTable, type TomlValue } from "smol-toml";
import { EngineError, errnoOf } from "#base/errors";
import type { Credentials } from "./auth.ts";
import type { Headers, TlsOptions } from "./client.ts";

export type Capability = "pull" | "resolve" | "push";

/** One `[host."https://…"]` of a `hosts.toml`, or its `server`. */
export interface RegistryHost {
  /** `https://host:port[/prefix]/v2`. */
  readonly api: string;
  readonly capabilities: readonly Capability[];
  readonly isVerified: boolean;
  readonly ca: TlsOptions["ca"];
  readonly certificates: TlsOptions["certificates"];
  /** Of its `Authorization` header. */
  readonly credentials: Credentials;
  /** Its other headers. */
  readonly headers: Headers;
}

export interface HostsFile {
  /** Mirrors, in the order of the file. */
  readonly hosts: readonly RegistryHost[];
  /** Where the registry itself is, if not where its name says. */
  readonly server: RegistryHost | undefined;
}

/**
 * `certs.d/<registry>/hosts.toml`: mirrors of any registry, each with its own credentials and CA. The format is containerd's
 * (docs/hosts.md), which operators have already; `_default` stands for registries without a folder.
 */
export async function readHostsFile(certsDir: string, registry: string): Promise<HostsFile | undefined> {
  for (const name of [registry, "_default"]) {
    const folder = join(certsDir, name.replaceAll("/", ""));
    const text = await readFile(join(folder, "hosts.toml"), "utf8").catch((error: unknown) => {
      if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
      throw new EngineError("invalidParameter", `cannot read ${join(folder, "hosts.toml")}`, { cause: error });
    });
    if (text !== undefined) return parseHostsFile(text, folder);
  }
  return undefined;
}

async function parseHostsFile(text: string, folder: string): Promise<HostsFile> {
  try {
    const root = parse(text);
    const hosts = await Promise.all(
      Object.entries(tableOf(root.host, "host")).map(([url, settings]) =>
        parseHost(url, tableOf(settings, url), folder),
      ),
    );
    if (root.server === undefined) return { hosts, server: undefined };
    return { hosts, server: await parseHost(textOf(root.server, "server"), root, folder) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new EngineError("invalidParameter", `invalid ${join(folder, "hosts.toml")}: ${reason}`, { cause: error });
  }
}

async function parseHost(url: string, settings: TomlTable, folder: string): Promise<RegistryHost> {
  const read = (path: string) => readFile(resolve(folder, path));
  const { authorization, ...headers } = parseHeaders(settings.header);
  return {
    api: parseAddress(url, settings.override_path === true),
    capabilities: parseCapabilities(settings.capabilities),
    isVerified: settings.skip_verify !== true,
    ca: await Promise.all(textsOf(settings.ca, "ca").map(async (path) => (await read(path)).toString("utf8"))),
    certificates: await Promise.all(
      clientPairs(settings.client).map(async ([cert, key]) => ({ cert: await read(cert), key: await read(key) })),
    ),
    credentials: parseAuthorization(authorization),
    headers,
  };
}

function parseAddress(text: string, isWhole: boolean): string {
  const address = text.includes("://") ? text : `https://${text}`;
  if (!URL.canParse(address)) throw new Error(`unable to parse ${JSON.stringify(text)}`);
  const { protocol, origin, pathname } = new URL(address);
  if (protocol !== "https:" && protocol !== "http:") throw new Error(`unsupported scheme in ${JSON.stringify(text)}`);
  const path = pathname.replace(/\/+$/, "");
  return `${origin}${path}${isWhole || path.endsWith("/v2") ? "" : "/v2"}`;
}

const allCapabilities: readonly Capability[] = ["pull", "resolve", "push"];

function parseCapabilities(value: TomlValue | undefined): readonly Capability[] {
  if (value === undefined) return allCapabilities;
  return textsOf(value, "capabilities").map((text) => {
    const known = allCapabilities.find((capability) => capability === text.toLowerCase());
    if (known === undefined) throw new Error(`unknown capability ${JSON.stringify(text)}`);
    return known;
  });
}

function parseHeaders(value: TomlValue | undefined): Record<string, string> {
  if (value === undefined) return {};
  const entries = Object.entries(tableOf(value, "header"));
  return Object.fromEntries(entries.map(([name, field]) => [name.toLowerCase(), textsOf(field, name).join(", ")]));
}

/** A header that is understood can answer a token server's challenge too. */
function parseAuthorization(header: string | undefined): Credentials {
  if (header === undefined) return {};
  const [, scheme = "", rest = ""] = /^(\S+)\s+(\S+)$/.exec(header) ?? [];
  if (scheme.toLowerCase() === "bearer") return { registryToken: rest };
  if (scheme.toLowerCase() !== "basic") throw new Error("unsupported scheme of the authorization header");
  const [username = "", ...password] = Buffer.from(rest, "base64").toString("utf8").split(":");
  return { username, password: password.join(":") };
}

/** `"both.pem"`, `["one.pem", "two.pem"]` or `[["cert.pem", "key.pem"]]`. */
function clientPairs(value: TomlValue | undefined): readonly (readonly [string, string])[] {
  if (value === undefined) return [];
  const entries = Array.isArray(value) ? value : [value];
  return entries.map((entry) => {
    const [cert = "", key = cert] = textsOf(entry, "client");
    return [cert, key || cert];
  });
}

function tableOf(value: TomlValue | undefined, name: string): TomlTable {
  if (value === undefined) return {};
  if (typeof value !== "object" || Array.isArray(value) || value instanceof Date)
    throw new Error(`${name}: not a table`);
  return value;
}

function textOf(value: TomlValue, name: string): string {
  if (typeof value !== "string") throw new Error(`${name}: not a string`);
  return value;
}

const textsOf = (value: TomlValue | undefined, name: string): string[] =>
  value === undefined ? [] : (Array.isArray(value) ? value : [value]).map((one) => textOf(one, name));
