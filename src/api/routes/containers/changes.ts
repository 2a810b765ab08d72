import type { FastifyInstance } from "fastify";
import { FilesystemChanges } from "#api-schema/container-verbs";
import type { Engine } from "#engine";
import { sendJson } from "../../reply.ts";
import type { Named } from "../../urls.ts";

export function changesRoute(app: FastifyInstance, { containers }: Engine): void {
  app.get<Named>("/containers/:name/changes", async (request, reply) => {
    const changes = await containers.changes(request.params.name);
    const shown = changes.map(({ path, kind }) => ({ Path: path, Kind: kind }));
    return sendJson(reply, FilesystemChanges, shown.length === 0 ? null : shown);
  });
}
