import type { FastifyInstance } from "fastify";
import { ContainerPruneReport } from "#api-schema/container-verbs";
import { type Engine, Filters } from "#engine";
import { sendJson } from "../../reply.ts";

export function pruneRoute(app: FastifyInstance, { containers }: Engine): void {
  app.post("/containers/prune", async (request, reply) => {
    const filters = Filters.parse(request.form.get("filters"));
    return sendJson(reply, ContainerPruneReport, await containers.prune(filters, request.clientGone));
  });
}
