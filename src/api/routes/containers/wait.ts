import type { FastifyInstance } from "fastify";
import { WaitResponse } from "#api-schema/container-verbs";
import { isOlder } from "#api-schema/versions";
import { EngineError } from "#base/errors";
import { goQuote } from "#base/strconv";
import type { Engine, WaitCondition } from "#engine";
import { encode } from "../../encode.ts";
import { sendHeaders } from "../../stream.ts";
import type { Named } from "../../urls.ts";

/** The CLI sends the wait before the start and needs its headers to go on: they leave as soon as the waiter is registered. */
export function waitRoute(app: FastifyInstance, { containers }: Engine): void {
  app.post<Named>("/containers/:name/wait", async (request, reply) => {
    const isEarly = !isOlder(request.apiVersion, "1.30");
    const condition = isEarly ? parseCondition(request.form.get("condition")) : "not-running";
    const { result } = containers.wait(request.params.name, condition, request.clientGone);
    reply.header("content-type", "application/json");
    if (isEarly) sendHeaders(reply);
    const { statusCode, error } = await result;
    // Before 1.34 a removal that failed could only be told by saying nothing.
    const isUntold = error !== undefined && condition === "removed" && isOlder(request.apiVersion, "1.34");
    const answer = isUntold ? "" : `${waitAnswer(statusCode, error)}\n`;
    if (!isEarly) sendHeaders(reply.header("content-length", Buffer.byteLength(answer)));
    reply.raw.end(answer);
    return reply;
  });
}

const waitAnswer = (StatusCode: number, error: string | undefined): string =>
  encode(WaitResponse, { StatusCode, Error: error === undefined ? null : { Message: error } }, { escapeHtml: true });

function parseCondition(text: string): WaitCondition {
  if (text === "" || text === "not-running" || text === "next-exit" || text === "removed") return text;
  throw new EngineError("invalidParameter", `invalid condition: ${goQuote(text)}`);
}
