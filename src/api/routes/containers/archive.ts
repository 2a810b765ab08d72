import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { PathStat } from "#api-schema/container-verbs";
import { EngineError } from "#base/errors";
import type { Engine } from "#engine";
import { compressed } from "../../compression.ts";
import { encode } from "../../encode.ts";
import { sendStream } from "../../stream.ts";
import type { Named } from "../../urls.ts";

/** `docker cp`. */
export function archiveRoutes(app: FastifyInstance, { containers }: Engine): void {
  app.head<Named>("/containers/:name/archive", async (request, reply) => {
    setPathStat(reply, await containers.statPath(request.params.name, pathOf(request)));
    return reply.send();
  });
  app.get<Named>("/containers/:name/archive", async (request, reply) => {
    const { stat, stream } = await containers.getArchive(request.params.name, pathOf(request), request.clientGone);
    setPathStat(reply, stat);
    reply.header("content-type", "application/x-tar");
    return sendStream(reply, compressed(request, reply, stream));
  });
  app.put<Named>("/containers/:name/archive", async (request, reply) => {
    const { form, params } = request;
    await containers.putArchive(params.name, pathOf(request), request.raw, {
      noOverwriteDirNonDir: form.bool("noOverwriteDirNonDir"),
      copyUidGid: form.bool("copyUIDGID"),
    });
    return reply.send();
  });
}

function pathOf({ form }: Pick<FastifyRequest, "form">): string {
  const path = form.get("path");
  // The missing blank is moby's.
  if (path === "") throw new EngineError("invalidParameter", "bad parameter: pathcannot be empty");
  return path;
}

const setPathStat = (reply: FastifyReply, stat: PathStat): FastifyReply =>
  reply.header(
    "x-docker-container-path-stat",
    Buffer.from(encode(PathStat, stat, { escapeHtml: true })).toString("base64"),
  );
