import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from "node:http";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: () => unknown;
}

export interface RequestOptions {
  readonly headers?: OutgoingHttpHeaders;
  /** An object is sent as JSON. */
  readonly body?: string | Buffer | object;
}

/** HTTP as any client speaks it, over a unix socket: each request on a connection of its own. */
export class HttpClient {
  readonly #socketPath: string;
  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  get(path: string, options?: RequestOptions): Promise<Reply> {
    return this.send("GET", path, options);
  }

  post(path: string, body?: RequestOptions["body"], headers?: OutgoingHttpHeaders): Promise<Reply> {
    return this.send("POST", path, {
      ...(body === undefined ? {} : { body }),
      ...(headers === undefined ? {} : { headers }),
    });
  }

  send(method: string, path: string, { headers = {}, body }: RequestOptions = {}): Promise<Reply> {
    const isJson = body !== undefined && typeof body !== "string" && !Buffer.isBuffer(body);
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const sent = request({
      socketPath: this.#socketPath,
      method,
      path,
      agent: false,
      headers: { ...(isJson ? { "Content-Type": "application/json" } : {}), ...headers },
    });
    sent.on("error", reject);
    sent.on("response", (response) => {
      text(response).then((body) => {
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: body,
          json: () => JSON.parse(body),
        });
      }, reject);
    });
    sent.end(isJson ? JSON.stringify(body) : body);
    return promise;
  }

  /** The bare connection, for hijacked streams and for requests that no library would send. */
  connect(): Socket {
    return connect({ path: this.#socketPath, allowHalfOpen: true });
  }
}
