import type { IncomingMessage } from "node:http";

/** What Go's server refuses before any handler sees it and llhttp lets through: the status that it answers with, or undefined. */
export function protocolFault(request: IncomingMessage): string | undefined {
  const { httpVersion, httpVersionMajor, headers, rawHeaders } = request;
  if (httpVersionMajor < 1) return "400 Bad Request";
  if (httpVersionMajor > 1) return "505 HTTP Version Not Supported: unsupported protocol version";
  const encoding = headers["transfer-encoding"];
  if (encoding !== undefined && encoding.toLowerCase() !== "chunked") return unknownEncoding;
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === "host").length;
  if (hosts === 0 && httpVersion !== "1.0") return "400 Bad Request: missing required Host header";
  if (hosts > 1) return "400 Bad Request";
  if (!hostCharacters.test(headers.host ?? "")) return "400 Bad Request: malformed Host header";
  return undefined;
}

export const unknownEncoding = "501 Not Implemented";

/** RFC 3986's for a host and its port. */
const hostCharacters = /^[A-Za-z0-9!$%&'()*+,\-.:;=[\]_~]*$/;
