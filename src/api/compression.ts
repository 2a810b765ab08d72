import type { Readable } from "node:stream";
import { createDeflateRaw, createGzip } from "node:zlib";
import type { FastifyReply, FastifyRequest } from "fastify";

/** Compresses an answer for a client that asks for it, as moby does for archives only. */
export function compressed(request: FastifyRequest, reply: FastifyReply, source: Readable): Readable {
  const encoding = negotiate(request.headers["accept-encoding"] ?? "");
  if (encoding === "identity") return source;
  reply.header("content-encoding", encoding);
  const compressor = encoding === "gzip" ? createGzip() : createDeflateRaw();
  source.on("error", (error) => compressor.destroy(error));
  compressor.on("close", () => source.destroy());
  return source.pipe(compressor);
}

type Encoding = "gzip" | "deflate" | "identity";

/** The offer with the highest weight; gzip before deflate where both weigh the same (gddo/httputil). */
function negotiate(header: string): Encoding {
  const weights = new Map(header.split(",").map(parseWeight));
  const weightOf = (encoding: Encoding) => weights.get(encoding) ?? weights.get("*") ?? 0;
  const [gzip, deflate] = [weightOf("gzip"), weightOf("deflate")];
  if (gzip <= 0 && deflate <= 0) return "identity";
  return gzip >= deflate ? "gzip" : "deflate";
}

function parseWeight(text: string): [string, number] {
  const [encoding = "", ...parameters] = text.split(";").map((part) => part.trim().toLowerCase());
  const weight = parameters.find((parameter) => parameter.startsWith("q="));
  return [encoding, weight === undefined ? 1 : Number(weight.slice(2))];
}
