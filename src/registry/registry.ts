import { STATUS_CODES } from "node:http";
import type { Clock } from "#base/clock";
import { EngineError } from "#base/errors";
import type { Log } from "#base/log";
import { Authorizer, type Credentials, pingRegistry } from "./auth.ts";
import { type Headers, HttpClient } from "./client.ts";
import { type Endpoint, indexHost, RegistryConfig, type RegistryOptions } from "./config.ts";
import { RegistryError } from "./errors.ts";
import type { Capability } from "./hosts-file.ts";
import { familiarName, familiarReference, isDigested, type Reference } from "./reference.ts";
import { Repository } from "./repository.ts";
import { type SearchRequest, type SearchResult, search } from "./search.ts";
import { userAgentFor } from "./user-agent.ts";

export interface RegistryParts {
  readonly options: RegistryOptions;
  /** `docker/28.5.2 …`: what registries see of us. */
  readonly userAgent: string;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Access {
  readonly credentials: Credentials;
  /** `X-Meta-…` headers that the client passes through. */
  readonly headers?: Headers;
  /** The client's own User-Agent. */
  readonly client?: string;
}

export interface Login {
  readonly status: string;
  readonly identityToken: string;
}

const loginTimeoutMs = 15_000;

/** The remote side: which endpoints stand behind a name, and in which order they are tried. */
export class Registry {
  readonly #parts: Omit<RegistryParts, "options">;
  #config: RegistryConfig;

  constructor({ options, ...parts }: RegistryParts) {
    this.#config = new RegistryConfig(options);
    this.#parts = parts;
  }

  get config(): RegistryConfig {
    return this.#config;
  }

  /** From the next request on. Throws what is wrong with the options, and then all stays as it is. */
  configure(options: RegistryOptions): void {
    this.#config = new RegistryConfig(options);
  }

  /** Tries each endpoint until one serves. The repository lives as long as `work`. */
  async pull<T>(ref: Reference, access: Access, signal: AbortSignal, work: (repository: Repository) => Promise<T>) {
    if (isReserved(ref)) throw new EngineError("forbidden", "'scratch' is a reserved name");
    const endpoints = await this.#config.endpoints(ref.domain, needsOf(ref));
    const attempt = { ref, access, signal, actions: ["pull"] as const, goesOn: goesOnAfterPull };
    try {
      return await this.#firstOf(endpoints, attempt, work);
    } catch (error) {
      throw signal.aborted ? error : translatePullError(error, ref);
    }
  }

  /** Looks only: the first endpoint that has an answer is believed, and errors stay the registry's own. */
  async inspect<T>(ref: Reference, access: Access, signal: AbortSignal, work: (repository: Repository) => Promise<T>) {
    if (isReserved(ref)) throw new EngineError("invalidParameter", "'scratch' is a reserved name");
    const endpoints = await this.#config.endpoints(ref.domain, needsOf(ref));
    return this.#firstOf(endpoints, { ref, access, signal, actions: ["pull"], goesOn: () => true }, work);
  }

  async push<T>(ref: Reference, access: Access, signal: AbortSignal, work: (repository: Repository) => Promise<T>) {
    const endpoints = await this.#config.endpoints(ref.domain, ["push"]);
    const goesOn = (error: unknown) => goesOnAfterPull(error, false);
    return this.#firstOf(endpoints, { ref, access, signal, actions: ["push", "pull"], goesOn }, work);
  }

  async #firstOf<T>(endpoints: readonly Endpoint[], attempt: Attempt, work: (repository: Repository) => Promise<T>) {
    const { ref, signal } = attempt;
    const speaksTls = new Set<string>();
    let last: unknown = new EngineError("system", `no endpoints found for ${familiarReference(ref)}`);
    for (const endpoint of endpoints) {
      const { protocol, host } = new URL(endpoint.api);
      // A host that answered over TLS is not asked again in clear text.
      if (protocol === "http:" && speaksTls.has(host)) continue;
      try {
        return await this.#attempt(endpoint, attempt, work);
      } catch (error) {
        if (signal.aborted || !attempt.goesOn(error, endpoint.isMirror)) throw error;
        last = error;
        if (protocol === "https:" && error instanceof RegistryError && error.hasAnswered) speaksTls.add(host);
        this.#parts.log.debug(
          { err: error, image: familiarName(ref), endpoint: endpoint.api },
          "registry endpoint failed",
        );
      }
    }
    throw last;
  }

  async #attempt<T>(endpoint: Endpoint, attempt: Attempt, work: (repository: Repository) => Promise<T>): Promise<T> {
    const { ref, access, actions, signal } = attempt;
    const { userAgent, clock } = this.#parts;
    const headers = { ...access.headers, "user-agent": userAgentFor(userAgent, access.client) };
    const options = { credentials: access.credentials, actions, headers, clock };
    await using repository = await Repository.open(endpoint, ref, options, signal);
    return await work(repository);
  }

  /** Asks the registry whether it accepts the credentials. Mirrors never see them. */
  async login({ credentials, client }: Access, signal: AbortSignal): Promise<Login> {
    const endpoints = await this.#config.endpoints(loginHost(credentials.serverAddress), ["push"]);
    const userAgent = userAgentFor(this.#parts.userAgent, client);
    let last: unknown;
    for (const endpoint of endpoints.filter((one) => !one.isMirror)) {
      try {
        return {
          status: "Login Succeeded",
          identityToken: await this.#login(endpoint, credentials, userAgent, signal),
        };
      } catch (error) {
        if (signal.aborted) throw error;
        last = error;
        this.#parts.log.debug({ err: error, endpoint: endpoint.api }, "registry login failed");
      }
    }
    throw last;
  }

  /** A registry token is no login: it would only prove itself. */
  async #login(
    endpoint: Endpoint,
    { registryToken: _, ...credentials }: Credentials,
    userAgent: string,
    signal: AbortSignal,
  ) {
    await using client = new HttpClient(endpoint.tls, { "user-agent": userAgent });
    const challenges = await pingRegistry(client, endpoint.api, signal);
    const { clock } = this.#parts;
    const options = { credentials, scopes: [], wantsOfflineToken: true, clock };
    const authorizer = new Authorizer(client, endpoint.api, challenges, options);
    const url = new URL(`${endpoint.api}/`);
    const limited = AbortSignal.any([signal, AbortSignal.timeout(loginTimeoutMs)]);
    const answer = await client.request("GET", url, { signal: limited, authorize: authorizer.authorize });
    await answer.discard();
    if (answer.status === 200) return authorizer.identityToken;
    const status = `${answer.status} ${STATUS_CODES[answer.status] ?? ""}`;
    throw new RegistryError("api", `login attempt to ${url.href} failed with status: ${status}`);
  }

  search(request: SearchRequest, signal: AbortSignal): Promise<readonly SearchResult[]> {
    const { userAgent, clock } = this.#parts;
    return search(this.#config, { ...request, userAgent: userAgentFor(userAgent, request.client), clock }, signal);
  }
}

interface Attempt {
  readonly ref: Reference;
  readonly access: Access;
  readonly signal: AbortSignal;
  readonly actions: readonly ("pull" | "push")[];
  readonly goesOn: (error: unknown, isMirror: boolean) => boolean;
}

/** A digest can be trusted from anywhere; what a tag means is said by those who may resolve it. */
const needsOf = (ref: Reference): readonly Capability[] => (isDigested(ref) ? ["pull"] : ["pull", "resolve"]);

const isReserved = (ref: Reference): boolean => familiarName(ref) === "scratch";

/** moby distribution/errors.go, continueOnError: what the registry said is final, except from a mirror. */
function goesOnAfterPull(error: unknown, isMirror: boolean): boolean {
  if (!(error instanceof RegistryError)) return !(error instanceof EngineError) || isMirror;
  return ["api", "config", "unsupported"].includes(error.fault) ? isMirror : true;
}

/** The words for an image that the registry does not have, or does not show. */
function translatePullError(error: unknown, ref: Reference): unknown {
  if (!(error instanceof RegistryError) || error.fault !== "api" || !error.hasDetail) return error;
  const notFound = (text: string) => new EngineError("notFound", `${text}: ${error.message}`, { cause: error });
  switch (error.code) {
    case "DENIED":
      return notFound(
        `pull access denied for ${familiarName(ref)}, repository does not exist or may require 'docker login'`,
      );
    case "MANIFEST_UNKNOWN":
      return notFound(`manifest for ${familiarReference(ref)} not found`);
    case "NAME_UNKNOWN":
      return notFound(`repository ${familiarName(ref)} not found`);
    default:
      return error;
  }
}

function loginHost(serverAddress: string | undefined): string {
  if (serverAddress === undefined || serverAddress === "") return indexHost;
  const text = /^https?:\/\//.test(serverAddress) ? serverAddress : `https://${serverAddress}`;
  if (URL.canParse(text)) return new URL(text).host;
  throw new EngineError(
    "invalidParameter",
    `unable to parse server address: parse ${JSON.stringify(text)}: invalid URL`,
  );
}
