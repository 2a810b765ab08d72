import { IncomingMessage, type OutgoingHttpHeader, type OutgoingHttpHeaders, ServerResponse } from "node:http";
import { splitTarget } from "./urls.ts";

/**
 * A request whose connection may become a stream. Docker's attach and exec start take over the connection with or
 * without `Upgrade: tcp`, and what follows the request is the process's stdin, not another request: for both forms the
 * HTTP parser must let go of the connection, which Node does for requests that say `upgrade`.
 */
export class DockerRequest extends IncomingMessage {
  // No initial values: IncomingMessage's constructor assigns `upgrade` before they would be set.
  declare private isUpgrade: boolean | null;

  get upgrade(): boolean {
    return this.isUpgrade === true || (this.method === "POST" && takesOver(this.url ?? ""));
  }

  set upgrade(value: boolean | null) {
    this.isUpgrade = value;
  }
}

/** The two requests that take over their connection whether they say `Upgrade` or not. */
const takesOver = (url: string): boolean =>
  /^\/(?:containers\/.+\/attach|exec\/.+\/start)$/.test(splitTarget(url).path);

/**
 * Whether a request that says `upgrade` may leave HTTP behind. An `Upgrade` that no route offers is ignored, as HTTP
 * wants it: curl, for one, asks for HTTP/2 with any request.
 */
export function leavesHttp({ method, url = "" }: IncomingMessage): boolean {
  const { path } = splitTarget(url);
  if (method === "GET") return /^\/containers\/.+\/attach\/ws$/.test(path);
  return method === "POST" && (takesOver(path) || path === "/grpc" || path === "/session");
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) !== 0;
}

/** Above this size Go's server does not know the length when it has to send the headers. */
const goBufferBytes = 2048;

/** A response as Go's net/http writes it: canonical header names, no `Connection`, chunks for long bodies. */
export class DockerResponse<R extends IncomingMessage = IncomingMessage> extends ServerResponse<R> {
  /** For a request whose parser has let go: whether the connection ends with this answer. Asked when the head is written. */
  endsConnection: () => boolean = () => false;

  override setHeader(name: string, value: number | string | readonly string[]): this {
    return super.setHeader(canonical(name), value);
  }

  override writeHead(
    status: number,
    reason?: string | OutgoingHttpHeaders | OutgoingHttpHeader[],
    headers?: OutgoingHttpHeaders | OutgoingHttpHeader[],
  ): this {
    const given = typeof reason === "string" ? headers : reason;
    if (given !== undefined && !Array.isArray(given)) {
      for (const [name, value] of Object.entries(given)) if (value !== undefined) this.setHeader(name, value);
    }
    if (this.req.method !== "HEAD" && Number(this.getHeader("content-length")) > goBufferBytes) {
      this.removeHeader("content-length");
    }
    const isLast = this.req.httpVersion === "1.1" && /\bclose\b/i.test(this.req.headers.connection ?? "");
    if (isLast || this.endsConnection()) this.setHeader("connection", "close");
    else if (!this.hasHeader("connection")) this.removeHeader("connection");
    return typeof reason === "string" ? super.writeHead(status, reason) : super.writeHead(status);
  }
}

/** Go's textproto.CanonicalMIMEHeaderKey. */
const canonical = (name: string): string =>
  name.toLowerCase().replace(/(?:^|-)[a-z]/g, (letters) => letters.toUpperCase());
