import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";

/**
 * Why a request on TCP looks like a web page's, or undefined. Two attacks are meant: DNS rebinding, where a page's own
 * host name leads to our address (so the Host must be one that we go by, if those are given), and requests across origins, simple POSTs and
 * websockets (so an Origin must be our own; programs that set one, like docker-py for websockets, name the Host).
 */
export function foreignPage(headers: IncomingHttpHeaders, ownNames?: ReadonlySet<string>): string | undefined {
  const { host = "", origin } = headers;
  if (ownNames !== undefined && !isOwn(host, ownNames)) return `host ${host} is not served here`;
  if (origin !== undefined && !isSameOrigin(origin, host)) return `origin ${origin} may not use this engine`;
  return undefined;
}

function isOwn(host: string, ownNames: ReadonlySet<string>): boolean {
  // `docker build` says `Host:` and nothing on /grpc and /session.
  if (host === "") return true;
  const name = host.replace(/:\d*$/, "").toLowerCase();
  return ownNames.has(name) || isIP(name.replace(/^\[|\]$/g, "")) !== 0;
}

const isSameOrigin = (origin: string, host: string): boolean =>
  origin.toLowerCase() === `http://${host.toLowerCase()}` || origin.toLowerCase() === `https://${host.toLowerCase()}`;
