import type { FastifyInstance, FastifyRequest } from "fastify";
import { EngineError } from "#base/errors";
import type { Engine, LogOptions } from "#engine";
import { streamType } from "../../hijack.ts";
import { timestamp } from "../../params.ts";
import { sendChunks } from "../../stream.ts";
import type { Named } from "../../urls.ts";

export function logsRoute(app: FastifyInstance, { containers }: Engine): void {
  app.get<Named>("/containers/:name/logs", async (request, reply) => {
    checkStreams(request);
    const { isTty, chunks } = containers.logs(request.params.name, () => logOptions(request), request.clientGone);
    reply.header("content-type", streamType(request, isTty));
    return sendChunks(reply, chunks);
  });
}

function checkStreams({ form }: Pick<FastifyRequest, "form">): void {
  if (form.bool("stdout") || form.bool("stderr")) return;
  throw new EngineError("invalidParameter", "Bad parameters: you must choose at least one stream");
}

function logOptions({ form }: Pick<FastifyRequest, "form">): LogOptions {
  return {
    stdout: form.bool("stdout"),
    stderr: form.bool("stderr"),
    follow: form.bool("follow"),
    timestamps: form.bool("timestamps"),
    details: form.bool("details"),
    since: timestamp(form.get("since")),
    until: form.get("until") === "0" ? undefined : timestamp(form.get("until")),
    tail: parseTail(form.get("tail")),
  };
}

/** Whatever is no number means all lines, and so does a negative one. */
function parseTail(text: string): number | undefined {
  return /^\+?[0-9]+$/.test(text) ? Number(text) : undefined;
}
