import type { FastifyInstance } from "fastify";
import { FilesystemChanges } from "#api-schema/container-verbs";
import type { Engine } from "#engine";
import { sendJson } from "../../reply.ts";
import type { Named } from "../../urls.ts";

export function changesRoute(app: FastifyInstance, { containers }: Engine): void {
  app.get<Named>("/containers/:name/changes", async (request, reply) =>
    sendJson(reply, FilesystemChanges, await containers.changes(request.params.name)),
  );
}
