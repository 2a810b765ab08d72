import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { isOlder } from "#api-schema/versions";
import { EngineError, type ErrorKind, firstOf, messageOf } from "#base/errors";
import { encodePlain } from "./encode.ts";

/** The one table that turns what a caller can do about a failure into a status code. */
const status: Readonly<Record<ErrorKind, number>> = {
  notModified: 304,
  invalidParameter: 400,
  unauthorized: 401,
  forbidden: 403,
  notFound: 404,
  conflict: 409,
  tooManyRequests: 429,
  system: 500,
  notImplemented: 501,
  unavailable: 503,
};

export function statusOf(error: unknown): number {
  if (error instanceof EngineError) return status[error.kind];
  return isFastifyError(error) ? (error.statusCode ?? 500) : 500;
}

/** Docker's error body. */
export const errorBody = (message: string): Buffer => Buffer.from(`${encodePlain({ message })}\n`);

export function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const error = firstOf(thrown);
  const code = statusOf(error);
  const message = messageOf(error);
  const { method, originalUrl: url = "", clientGone } = request;
  // What the engine refuses in so many words is no operator's business, nor what ended because nobody waits for it.
  const isRefusal = error instanceof EngineError && error.kind !== "system";
  const isFault = !isRefusal && !isReasonOf(clientGone, error);
  if (code >= 500 && isFault)
    request.server.apiLog.error({ method, url: withoutQuery(url), err: thrown }, "request failed");
  else request.server.apiLog.debug({ method, url: withoutQuery(url), status: code, message }, "request refused");
  reply.code(code);
  // A request whose path does not parse has not come as far as having a version.
  const { apiVersion: version = "" } = request;
  const isAncient = version !== "" && isOlder(version, "1.24");
  if (isFastifyError(error) && error.code === "FST_ERR_BAD_URL") sendBadRequest(reply);
  else if (code === 304) reply.send();
  else if (isAncient) sendPlain(reply, message);
  else reply.header("content-type", "application/json").send(errorBody(message));
}

/** moby's answer for unknown paths and for known ones with another method. */
export function sendNotFound(reply: FastifyReply): void {
  reply.code(404).header("content-type", "application/json").send(errorBody("page not found"));
}

/** Clients from before 1.24 print the body as it is (moby api/server). */
function sendPlain(reply: FastifyReply, message: string): void {
  reply.header("content-type", "text/plain; charset=utf-8").header("x-content-type-options", "nosniff");
  reply.send(Buffer.from(`${message}\n`));
}

/** What Go's server says before any handler sees the request. */
function sendBadRequest(reply: FastifyReply): void {
  reply.header("content-type", "text/plain; charset=utf-8").header("connection", "close");
  reply.send(Buffer.from("400 Bad Request"));
}

/** A request whose path does not parse has no signal. */
const isReasonOf = (signal: AbortSignal | null | undefined, error: unknown): boolean =>
  signal?.aborted === true && signal.reason === error;

const isFastifyError = (error: unknown): error is FastifyError =>
  error instanceof Error && "code" in error && typeof error.code === "string" && error.code.startsWith("FST_");

/** Query words may carry build arguments and the like: they stay out of the log. */
const withoutQuery = (url: string): string => url.replace(/\?.*$/s, "");
