import type { FastifyInstance } from "fastify";
import { CheckpointCreateRequest, CheckpointSummaries } from "#api-schema/checkpoint";
import { EngineError } from "#base/errors";
import type { Engine } from "#engine";
import { readJson } from "../../body.ts";
import { sendJson } from "../../reply.ts";
import type { Named } from "../../urls.ts";

/** Checkpoints are an experimental feature of dockerd: without it they are refused in its words. */
export function checkpointRoutes(app: FastifyInstance, { containers }: Engine, isExperimental: boolean): void {
  const onRequest = isExperimental ? [] : [refuse];
  app.get<Named>("/containers/:name/checkpoints", { onRequest }, async (request, reply) => {
    const place = { directory: request.form.get("dir") };
    return sendJson(reply, CheckpointSummaries, await containers.listCheckpoints(request.params.name, place));
  });
  app.post<Named>("/containers/:name/checkpoints", { onRequest }, async (request, reply) => {
    const { CheckpointID, CheckpointDir, Exit } = await readJson(request, CheckpointCreateRequest);
    const options = { name: CheckpointID, directory: CheckpointDir, exit: Exit };
    await containers.createCheckpoint(request.params.name, options);
    return reply.code(201).send();
  });
  app.delete<{ Params: { name: string; checkpoint: string } }>(
    "/containers/:name/checkpoints/:checkpoint",
    { onRequest },
    async (request, reply) => {
      const { name, checkpoint } = request.params;
      await containers.removeCheckpoint(name, { name: checkpoint, directory: request.form.get("dir") });
      return reply.code(204).send();
    },
  );
}

function refuse(): never {
  throw new EngineError(
    "notImplemented",
    "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it.",
  );
}
