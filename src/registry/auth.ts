import type { Clock } from "#base/clock";
import { EngineError, messageOf } from "#base/errors";
import { decodeJson } from "#base/json";
import { type Challenge, parseChallenges } from "./challenge.ts";
import { goError, type Headers, type HttpClient, invalidUrl } from "./client.ts";
import { RegistryError } from "./errors.ts";

/** What a client sends in `X-Registry-Auth`. */
export interface Credentials {
  readonly username?: string;
  readonly password?: string;
  readonly serverAddress?: string;
  /** An OAuth2 refresh token, from an earlier login. */
  readonly identityToken?: string;
  /** A bearer token to be used as it is. */
  readonly registryToken?: string;
}

export interface AuthorizerOptions {
  readonly credentials: Credentials;
  /** `repository:library/busybox:pull`. */
  readonly scopes: readonly string[];
  /** Further headers that are this registry's alone. */
  readonly headers?: Headers;
  /** Ask for a refresh token too: what `docker login` stores. */
  readonly wantsOfflineToken?: boolean;
  readonly clock: Clock;
}

const clientId = "docker";
const pingTimeoutMs = 15_000;
const tokenBodyLimit = 1 << 20;
const minimumLifetimeSeconds = 60;
const nsPerSecond = 1_000_000_000n;

/** The challenges of a registry, read from its `/v2/` (distribution spec, "Determining Support"). */
export async function pingRegistry(client: HttpClient, api: string, signal: AbortSignal): Promise<Challenge[]> {
  const url = new URL(`${api}/`);
  const limit = AbortSignal.timeout(pingTimeoutMs);
  try {
    const answer = await client.request("GET", url, { signal: AbortSignal.any([signal, limit]) });
    await answer.discard();
    return parseChallenges(answer.status, answer.headers("www-authenticate"));
  } catch (error) {
    if (signal.aborted || !limit.aborted) throw error;
    const text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    throw goError("GET", url, new RegistryError("transport", text, { cause: error }));
  }
}

/**
 * Turns a registry's challenges into `Authorization` headers. Credentials go to the registry that was asked and to the
 * token server that it names itself, never to where a redirect or a layer points (CVE-2020-15157), and never in clear
 * text when the registry speaks TLS.
 */
export class Authorizer {
  readonly #client: HttpClient;
  readonly #base: URL;
  readonly #challenges: readonly Challenge[];
  readonly #options: AuthorizerOptions;
  #token: { readonly text: string; readonly expires: bigint } | undefined;
  #pending: Promise<string> | undefined;
  #refreshToken: string;

  constructor(client: HttpClient, api: string, challenges: readonly Challenge[], options: AuthorizerOptions) {
    this.#client = client;
    this.#base = new URL(`${api}/`);
    this.#challenges = challenges;
    this.#options = options;
    this.#refreshToken = options.credentials.identityToken ?? "";
  }

  /** The refresh token that the token server gave, or the one that was brought along. */
  get identityToken(): string {
    return this.#refreshToken;
  }

  readonly authorize = async (url: URL, signal: AbortSignal): Promise<Headers> => {
    if (url.origin !== this.#base.origin || !url.pathname.startsWith(this.#base.pathname)) return {};
    return { ...this.#options.headers, ...(await this.#authorization(url, signal)) };
  };

  async #authorization(url: URL, signal: AbortSignal): Promise<Headers> {
    let headers: Headers = {};
    for (const { parameters } of this.#ofScheme("bearer")) {
      headers = { authorization: `Bearer ${await this.#bearer(parameters, url, signal)}` };
    }
    if (this.#options.credentials.registryToken) return headers;
    for (const _ of this.#ofScheme("basic")) headers = this.#basic();
    return headers;
  }

  #ofScheme(scheme: string): Challenge[] {
    return this.#challenges.filter((challenge) => challenge.scheme === scheme);
  }

  #basic(): Headers {
    const header = basicHeader(this.#options.credentials);
    if (header === undefined) throw new RegistryError("noCredentials", "no basic auth credentials");
    return header;
  }

  async #bearer(parameters: Challenge["parameters"], url: URL, signal: AbortSignal): Promise<string> {
    if (this.#options.credentials.registryToken) return this.#options.credentials.registryToken;
    const from = url.searchParams.get("from");
    const extra = from === null ? undefined : `repository:${from}:pull`;
    if (extra !== undefined && !this.#options.scopes.includes(extra)) {
      return (await this.#fetch(parameters, [...this.#options.scopes, extra], signal)).text;
    }
    if (this.#token !== undefined && this.#options.clock.now() < this.#token.expires) return this.#token.text;
    // Layers are fetched side by side: one of them asks for the token, all wait for it.
    this.#pending ??= this.#renew(parameters, signal).finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #renew(parameters: Challenge["parameters"], signal: AbortSignal): Promise<string> {
    this.#token = await this.#fetch(parameters, this.#options.scopes, signal);
    return this.#token.text;
  }

  async #fetch(parameters: Challenge["parameters"], scopes: readonly string[], signal: AbortSignal) {
    const realm = parameters.get("realm");
    if (realm === undefined)
      throw new RegistryError("unexpectedResponse", "no realm specified for token auth challenge");
    const url = parseRealm(realm);
    const service = parameters.get("service") ?? "";
    const limited = AbortSignal.any([signal, AbortSignal.timeout(pingTimeoutMs)]);
    const canTrust = url.protocol === "https:" || this.#base.protocol === "http:";
    const reply =
      this.#refreshToken !== "" && canTrust
        ? await this.#postForm(url, service, scopes, limited)
        : await this.#getToken(url, service, scopes, canTrust, limited);
    if (reply.refreshToken !== "") this.#refreshToken = reply.refreshToken;
    if (reply.token === "") {
      throw new RegistryError("noToken", "authorization server did not include a token in the response");
    }
    const lifetime = BigInt(Math.max(reply.expiresIn, minimumLifetimeSeconds));
    const issued = reply.issuedAt ?? this.#options.clock.now();
    return { text: reply.token, expires: issued + lifetime * nsPerSecond };
  }

  /** The OAuth2 way, for those who hold a refresh token (distribution docs, spec/auth/oauth). */
  async #postForm(url: URL, service: string, scopes: readonly string[], signal: AbortSignal): Promise<TokenReply> {
    const form = new URLSearchParams({
      scope: scopes.join(" "),
      service,
      client_id: clientId,
      grant_type: "refresh_token",
      refresh_token: this.#refreshToken,
    });
    form.sort();
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    return this.#ask("POST", url, { headers, body: Buffer.from(form.toString()), signal });
  }

  /** The token way: anonymous or with Basic credentials (distribution docs, spec/auth/token). */
  async #getToken(url: URL, service: string, scopes: readonly string[], canTrust: boolean, signal: AbortSignal) {
    const target = new URL(url);
    if (service !== "") target.searchParams.append("service", service);
    for (const scope of scopes) target.searchParams.append("scope", scope);
    if (this.#options.wantsOfflineToken === true) {
      target.searchParams.append("offline_token", "true");
      target.searchParams.append("client_id", clientId);
    }
    const basic = canTrust ? basicHeader(this.#options.credentials) : undefined;
    if (basic !== undefined) target.searchParams.append("account", this.#options.credentials.username ?? "");
    target.searchParams.sort();
    // Only the first hop is the server that the registry named.
    const authorize = async (hop: URL) => (basic !== undefined && hop.origin === target.origin ? basic : {});
    return this.#ask("GET", target, { authorize, signal });
  }

  async #ask(method: string, url: URL, options: Parameters<HttpClient["request"]>[2]): Promise<TokenReply> {
    const answer = await this.#client.request(method, url, options);
    if (!answer.isSuccess) throw await answer.fault();
    return parseTokenReply(await answer.bytes(tokenBodyLimit));
  }
}

function basicHeader({ username, password }: Credentials): Headers | undefined {
  if (!username || !password) return undefined;
  return { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` };
}

function parseRealm(realm: string): URL {
  try {
    return new URL(realm);
  } catch (cause) {
    const text = `invalid token auth challenge realm: ${invalidUrl(realm)}`;
    throw new RegistryError("unexpectedResponse", text, { cause });
  }
}

interface TokenReply {
  readonly token: string;
  readonly refreshToken: string;
  readonly expiresIn: number;
  readonly issuedAt: bigint | undefined;
}

function parseTokenReply(body: Buffer): TokenReply {
  const fields = fieldsOf(decodeReply(body));
  const text = (name: string) => {
    const value = fields.get(name);
    return typeof value === "string" ? value : "";
  };
  const expires = fields.get("expires_in");
  const issued = Date.parse(text("issued_at"));
  return {
    token: text("access_token") || text("token"),
    refreshToken: text("refresh_token"),
    expiresIn: typeof expires === "number" && Number.isFinite(expires) ? Math.floor(expires) : 0,
    issuedAt: Number.isNaN(issued) ? undefined : BigInt(issued) * 1_000_000n,
  };
}

function decodeReply(body: Buffer): unknown {
  try {
    return decodeJson(body.toString("utf8"));
  } catch (cause) {
    const text = `unable to decode token response: ${messageOf(cause)}`;
    throw new RegistryError("unexpectedResponse", text, { cause });
  }
}

/** Go matches JSON keys without regard to case. */
const fieldsOf = (value: unknown): ReadonlyMap<string, unknown> =>
  new Map(Object.entries(value ?? {}).map(([key, field]) => [key.toLowerCase(), field]));

/** Base64url, padded. */
const headerPattern = /^(?:[\w-]{4})*(?:[\w-]{2}==|[\w-]{3}=)?$/;

/** JSON of an `X-Registry-Auth` header. An unreadable one counts as none: moby's routes ignore the error. */
export function parseCredentials(header: string | undefined): Credentials {
  if (header === undefined || !headerPattern.test(header)) return {};
  try {
    return credentialsOf(decodeJson(Buffer.from(header, "base64url").toString("utf8")));
  } catch {
    return {};
  }
}

/** The body of `POST /auth`, and one entry of `X-Registry-Config`. */
export function credentialsOf(value: unknown): Credentials {
  if (value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) throw new EngineError("system", "invalid auth config");
  const fields = fieldsOf(value);
  const text = (name: string) => {
    const field = fields.get(name);
    return typeof field === "string" && field !== "" ? field : undefined;
  };
  const [username, password] = [text("username"), text("password")];
  const [serverAddress, identityToken] = [text("serveraddress"), text("identitytoken")];
  const registryToken = text("registrytoken");
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(serverAddress === undefined ? {} : { serverAddress }),
    ...(identityToken === undefined ? {} : { identityToken }),
    ...(registryToken === undefined ? {} : { registryToken }),
  };
}
