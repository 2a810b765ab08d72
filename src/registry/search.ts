import type { Clock } from "#base/clock";
import { EngineError, messageOf } from "#base/errors";
import { decodeJson } from "#base/json";
import { Authorizer, type Credentials, pingRegistry } from "./auth.ts";
import { type Answer, type Headers, HttpClient } from "./client.ts";
import { hubDomain, indexHost, type RegistryConfig } from "./config.ts";
import { RegistryError } from "./errors.ts";

export interface SearchRequest {
  readonly term: string;
  /** 0 means the default, 25. */
  readonly limit: number;
  readonly credentials: Credentials;
  readonly headers?: Headers;
  readonly client?: string;
}

export interface SearchResult {
  readonly name: string;
  readonly description: string;
  readonly starCount: number;
  readonly isOfficial: boolean;
}

interface SearchContext extends SearchRequest {
  readonly userAgent: string;
  readonly clock: Clock;
}

const defaultLimit = 25;
const bodyLimit = 8 << 20;
const pingTimeoutMs = 15_000;

/** The v1 search: the one part of the old registry API that is left (moby registry/search_session.go). */
export async function search(
  config: RegistryConfig,
  request: SearchContext,
  signal: AbortSignal,
): Promise<SearchResult[]> {
  const { term } = request;
  if (term.includes("://")) {
    throw invalid(`invalid repository name: repository name (${term}) should not have a scheme`);
  }
  const [index, name] = splitTerm(term);
  const tls = index === hubDomain ? { isVerified: true, ca: [], certificates: [] } : await config.tlsOf(index);
  await using client = new HttpClient(tls, { ...request.headers, "user-agent": request.userAgent });
  const base = index === hubDomain ? `https://${indexHost}` : await findBase(client, index, tls.isVerified, signal);
  const limit = request.limit === 0 ? defaultLimit : request.limit;
  if (limit < 1 || limit > 100) throw invalid(`limit ${limit} is outside the range of [1, 100]`);
  const url = new URL(`${base}/v1/search`);
  url.search = new URLSearchParams({ q: name, n: String(limit) }).toString();
  const authorize = await authorizerOf(client, base, request, signal);
  const answer = await client.request("GET", url, { headers: { "x-docker-token": "true" }, signal, authorize });
  return await readResults(answer);
}

function splitTerm(term: string): readonly [index: string, name: string] {
  const slash = term.indexOf("/");
  const first = term.slice(0, Math.max(slash, 0));
  const isHub = slash < 0 || (!/[.:]/.test(first) && first !== "localhost");
  const index = isHub || first === indexHost ? hubDomain : first;
  const name = isHub ? term : term.slice(slash + 1);
  return [index, index === hubDomain ? name.replace(/^library\//, "") : name];
}

/** TLS first; clear text only for a registry that is declared insecure. */
async function findBase(client: HttpClient, host: string, isVerified: boolean, signal: AbortSignal): Promise<string> {
  const secure = await ping(client, `https://${host}`, signal);
  if (secure === undefined) return `https://${host}`;
  if (isVerified) {
    throw invalid(
      `invalid registry endpoint https://${host}/v1/: ${secure.message}. If this private registry supports only HTTP or ` +
        `HTTPS with an unknown CA certificate, please add \`--insecure-registry ${host}\` to the daemon's arguments. In the ` +
        "case of HTTPS, if you have access to the registry's CA certificate, no need for the flag; simply place the CA " +
        `certificate at /etc/docker/certs.d/${host}/ca.crt`,
    );
  }
  const plain = await ping(client, `http://${host}`, signal);
  if (plain === undefined) return `http://${host}`;
  throw invalid(
    `invalid registry endpoint "http://${host}/v1/". HTTPS attempt: ${secure.message}. HTTP attempt: ${plain.message}`,
  );
}

async function ping(client: HttpClient, base: string, signal: AbortSignal): Promise<RegistryError | undefined> {
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(pingTimeoutMs)]);
    await (await client.request("GET", new URL(`${base}/v1/_ping`), { signal: limited })).discard();
    return undefined;
  } catch (error) {
    if (signal.aborted || !(error instanceof RegistryError)) throw error;
    return error;
  }
}

/** A refresh token asks for a search token; a password is shown to the index alone. */
async function authorizerOf(client: HttpClient, base: string, request: SearchContext, signal: AbortSignal) {
  const { credentials, clock } = request;
  if (credentials.identityToken && credentials.username) {
    const challenges = await pingRegistry(client, base, signal);
    const options = { credentials, scopes: ["registry:catalog:search"], clock };
    const authorizer = new Authorizer(client, base, challenges, options);
    return (url: URL, hop: AbortSignal) => authorizer.authorize(new URL("/v2/", url), hop);
  }
  const { username, password } = credentials;
  const origin = new URL(base).origin;
  const basic = username && password ? Buffer.from(`${username}:${password}`).toString("base64") : undefined;
  return async (url: URL): Promise<Headers> =>
    basic !== undefined && url.origin === origin && url.protocol === "https:"
      ? { authorization: `Basic ${basic}` }
      : {};
}

async function readResults(answer: Answer): Promise<SearchResult[]> {
  if (answer.status !== 200) {
    await answer.discard();
    throw new RegistryError("unexpectedStatus", `Unexpected status code ${answer.status}`);
  }
  const body = await answer.bytes(bodyLimit);
  let reply: unknown;
  try {
    reply = decodeJson(body.toString("utf8"));
  } catch (cause) {
    const text = `error decoding registry search results: ${messageOf(cause)}`;
    throw new RegistryError("unexpectedResponse", text, { cause });
  }
  const list: unknown = typeof reply === "object" && reply !== null && "results" in reply ? reply.results : null;
  return Array.isArray(list) ? list.map(resultOf) : [];
}

function resultOf(value: unknown): SearchResult {
  const field = (name: string): unknown =>
    typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
  const [name, description, stars] = [field("name"), field("description"), field("star_count")];
  return {
    name: typeof name === "string" ? name : "",
    description: typeof description === "string" ? description : "",
    starCount: typeof stars === "number" ? stars : 0,
    isOfficial: field("is_official") === true,
  };
}

const invalid = (message: string) => new EngineError("invalidParameter", message);
