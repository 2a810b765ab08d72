import { STATUS_CODES } from "node:http";
import { pipeline, type Readable } from "node:stream";
import { type ConnectionOptions, rootCertificates } from "node:tls";
import { createGunzip } from "node:zlib";
import { Agent, type Dispatcher, ProxyAgent } from "undici";
import { findChallenge } from "./challenge.ts";
import { errorOfAnswer, RegistryError } from "./errors.ts";
import { describeNetworkFault, isUnreadable } from "./network-fault.ts";
import { proxyOf } from "./proxy.ts";
import { describeQuota, parseRetryAfter } from "./quota.ts";

export type Headers = Readonly<Record<string, string>>;

export interface RequestOptions {
  readonly headers?: Headers;
  readonly body?: Buffer | Readable;
  readonly signal: AbortSignal;
  /** Asked for each hop, so that a redirect to another host gets no credentials. */
  readonly authorize?: (url: URL, signal: AbortSignal) => Promise<Headers>;
}

export interface TlsOptions {
  readonly isVerified: boolean;
  readonly ca: readonly string[];
  readonly certificates: readonly { readonly cert: Buffer; readonly key: Buffer }[];
}

/** The answer to one request; its body must be read to the end or discarded. */
export class Answer {
  readonly url: URL;
  readonly method: string;
  readonly status: number;
  readonly statusText: string;
  /** What was compressed for the way only is plain here; a part of a blob stays as it is. */
  readonly body: Readable;
  readonly #headers: Dispatcher.ResponseData["headers"];
  readonly #raw: Dispatcher.ResponseData["body"];

  constructor(url: URL, method: string, data: Dispatcher.ResponseData) {
    this.url = url;
    this.method = method;
    this.status = data.statusCode;
    this.statusText = data.statusText || (STATUS_CODES[data.statusCode] ?? "");
    this.#headers = data.headers;
    this.#raw = data.body;
    this.body = this.#isEncoded ? pipeline(data.body, createGunzip(), () => undefined) : data.body;
  }

  get isSuccess(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  get #isEncoded(): boolean {
    const isWhole = this.status !== 206 && this.method !== "HEAD";
    return isWhole && this.header("content-encoding").toLowerCase() === "gzip";
  }

  header(name: string): string {
    const value = this.#headers[name.toLowerCase()];
    return (Array.isArray(value) ? value[0] : value) ?? "";
  }

  headers(name: string): readonly string[] {
    const value = this.#headers[name.toLowerCase()];
    return value === undefined ? [] : Array.isArray(value) ? value : [value];
  }

  /** The declared length of the body, if it has one. */
  get length(): number | undefined {
    if (this.#isEncoded) return undefined;
    const text = this.header("content-length");
    return /^\d+$/.test(text) ? Number(text) : undefined;
  }

  /** The whole body; one that is larger than `limit` is refused before it is held. */
  async bytes(limit: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of this.body) {
        size += chunk.length;
        if (size > limit) throw new RegistryError("unexpectedResponse", `response body is larger than ${limit} bytes`);
        chunks.push(chunk);
      }
    } catch (error) {
      if (error instanceof RegistryError) throw error;
      throw new RegistryError("transport", await bodyFault(error, this.url), { cause: error, hasAnswered: true });
    }
    return Buffer.concat(chunks);
  }

  async discard(): Promise<void> {
    await this.#raw.dump().catch(() => undefined);
  }

  /** What the registry says went wrong. Consumes the body. */
  async fault(): Promise<RegistryError> {
    const body = this.status >= 400 && this.status < 500 ? await this.bytes(errorBodyLimit) : Buffer.alloc(0);
    if (body.length === 0) await this.discard();
    return errorOfAnswer({
      status: this.status,
      statusText: this.statusText,
      contentType: this.header("content-type"),
      body: body.toString("utf8"),
      challengeError: findChallenge(this.status, this.headers("www-authenticate")),
      quota:
        this.status === 429 ? describeQuota(this.header("ratelimit-limit"), this.header("ratelimit-remaining")) : "",
      retryAfterMs: parseRetryAfter(this.header("retry-after"), Date.now()),
    });
  }
}

/** A connection that ends in the middle of a body is Go's `unexpected EOF`; what cannot be read there is a chunk. */
export async function bodyFault(error: unknown, url: URL): Promise<string> {
  if (isUnreadable(error)) return "invalid byte in chunk length";
  const text = await describeNetworkFault(error, url);
  return text === "EOF" || text === "terminated" || text === "other side closed" ? "unexpected EOF" : text;
}

const errorBodyLimit = 1 << 20;
const redirectLimit = 10;
const connectTimeoutMs = 30_000;
const idleTimeoutMs = 300_000;
const headerLimit = 1 << 20;

/** HTTP to one registry: connections are kept while it lives, and redirects are followed by hand. */
export class HttpClient implements AsyncDisposable {
  readonly #options: Agent.Options;
  /** By proxy; "" is the direct way. */
  readonly #dispatchers = new Map<string, Dispatcher>();
  readonly #headers: Headers;

  constructor(tls: TlsOptions, headers: Headers) {
    const connect = { ...connectOptions(tls), timeout: connectTimeoutMs };
    const timeouts = { headersTimeout: idleTimeoutMs, bodyTimeout: idleTimeoutMs };
    this.#options = { ...timeouts, maxHeaderSize: headerLimit, connect };
    this.#headers = headers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#dispatchers.values()].map((dispatcher) => dispatcher.destroy()));
  }

  /** Fails only when there is no answer. Each error begins with Go's `Get "https://…"`. */
  async request(method: string, url: URL, options: RequestOptions): Promise<Answer> {
    let hop = { method, url, options };
    for (let count = 1; ; count++) {
      const answer = await this.#once(hop.method, hop.url, hop.options);
      const next = redirectOf(answer, hop.options);
      if (next === undefined) return answer;
      await answer.discard();
      if (count === redirectLimit)
        throw goError(next.method, next.url, new RegistryError("unexpectedResponse", "stopped after 10 redirects"));
      hop = next;
    }
  }

  #dispatcherFor(url: URL): Dispatcher {
    const proxy = proxyOf(url, process.env)?.href ?? "";
    const known = this.#dispatchers.get(proxy);
    if (known !== undefined) return known;
    const { connect, ...timeouts } = this.#options;
    const tls = typeof connect === "object" ? { requestTls: connect } : {};
    const made = proxy === "" ? new Agent(this.#options) : new ProxyAgent({ ...timeouts, ...tls, uri: proxy });
    this.#dispatchers.set(proxy, made);
    return made;
  }

  async #once(method: string, url: URL, options: RequestOptions): Promise<Answer> {
    options.signal.throwIfAborted();
    if (url.protocol !== "http:" && url.protocol !== "https:") {
      const text = `unsupported protocol scheme ${JSON.stringify(url.protocol.slice(0, -1))}`;
      throw goError(method, url, new RegistryError("transport", text));
    }
    try {
      const authorization = (await options.authorize?.(url, options.signal)) ?? {};
      const data = await this.#dispatcherFor(url).request({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers: { ...this.#headers, ...options.headers, ...authorization },
        body: options.body ?? null,
        signal: options.signal,
      });
      return new Answer(url, method, data);
    } catch (error) {
      if (options.signal.aborted) throw options.signal.reason;
      if (error instanceof RegistryError) throw goError(method, url, error);
      throw goError(
        method,
        url,
        new RegistryError("transport", await describeNetworkFault(error, url), { cause: error }),
      );
    }
  }
}

/** net/url.Error: the verb in title case, the URL quoted. */
export function goError(method: string, url: URL, error: RegistryError): RegistryError {
  const verb = method.slice(0, 1) + method.slice(1).toLowerCase();
  return error.prefixed(`${verb} ${JSON.stringify(url.href)}`);
}

/** As Go's client redirects. A body that can be sent again goes to the same server only: it may hold a refresh token. */
function redirectOf(answer: Answer, options: RequestOptions) {
  const location = answer.header("location");
  if (!redirects.has(answer.status) || location === "") return undefined;
  if (!URL.canParse(location, answer.url.href)) {
    const text = `failed to parse Location header ${JSON.stringify(location)}: ${invalidUrl(location)}`;
    throw goError(answer.method, answer.url, new RegistryError("transport", text));
  }
  const url = new URL(location, answer.url);
  const { body, ...bare } = options;
  if (answer.status <= 303) return { method: answer.method === "HEAD" ? "HEAD" : "GET", url, options: bare };
  const canRepeat = body === undefined || (Buffer.isBuffer(body) && url.origin === answer.url.origin);
  return canRepeat ? { method: answer.method, url, options } : undefined;
}

const redirects = new Set([301, 302, 303, 307, 308]);

/** net/url.Error of Parse. */
export const invalidUrl = (text: string): string => `parse ${JSON.stringify(text)}: invalid URL`;

function connectOptions(tls: TlsOptions): Pick<ConnectionOptions, "rejectUnauthorized" | "ca" | "cert" | "key"> {
  return {
    rejectUnauthorized: tls.isVerified,
    ...(tls.ca.length > 0 ? { ca: [...rootCertificates, ...tls.ca] } : {}),
    ...(tls.certificates.length > 0
      ? { cert: tls.certificates.map((one) => one.cert), key: tls.certificates.map((one) => one.key) }
      : {}),
  };
}
