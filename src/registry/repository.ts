import type { Clock } from "#base/clock";
import { Authorizer, type Credentials, pingRegistry } from "./auth.ts";
import { type Answer, type Headers, HttpClient, type RequestOptions } from "./client.ts";
import type { Endpoint } from "./config.ts";
import type { Reference } from "./reference.ts";

export interface RepositoryOptions {
  readonly credentials: Credentials;
  readonly actions: readonly ("pull" | "push")[];
  readonly headers: Headers;
  readonly clock: Clock;
}

/** One repository at one endpoint, with the right to act on it. Whoever opens it disposes of it. */
export class Repository implements AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly path: string;
  readonly #client: HttpClient;
  readonly #authorizer: Authorizer;
  #users = 1;

  constructor(endpoint: Endpoint, path: string, client: HttpClient, authorizer: Authorizer) {
    this.endpoint = endpoint;
    this.path = path;
    this.#client = client;
    this.#authorizer = authorizer;
  }

  /** Asks the endpoint how it wants to be asked; fails when it cannot be reached. */
  static async open(
    endpoint: Endpoint,
    name: Reference,
    options: RepositoryOptions,
    signal: AbortSignal,
  ): Promise<Repository> {
    const client = new HttpClient(endpoint.tls, options.headers);
    try {
      const challenges = await pingRegistry(client, endpoint.api, signal);
      const scopes = [`repository:${name.path}:${options.actions.join(",")}`];
      const { credentials, headers } = endpoint.own ?? { credentials: options.credentials, headers: {} };
      const authorizer = new Authorizer(client, endpoint.api, challenges, {
        credentials,
        headers,
        scopes,
        clock: options.clock,
      });
      return new Repository(endpoint, name.path, client, authorizer);
    } catch (error) {
      await client[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A further user, who disposes of it too: a layer on its way may outlive the request that began it. */
  share(): this {
    this.#users++;
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (--this.#users === 0) await this.#client[Symbol.asyncDispose]();
  }

  /** `manifests/latest` → `https://host/v2/library/busybox/manifests/latest`. */
  url(path: string): URL {
    return new URL(`${this.endpoint.api}/${this.path}/${path}`);
  }

  request(method: string, url: URL, options: Omit<RequestOptions, "authorize">): Promise<Answer> {
    return this.#client.request(method, url, { ...options, authorize: this.#authorizer.authorize });
  }
}
