import type { FastifyInstance } from "fastify";
import { NetworksPruneReport } from "#api-schema/network";
import { type Engine, Filters } from "#engine";
import { sendJson } from "../../reply.ts";

export function pruneRoute(app: FastifyInstance, { networks }: Pick<Engine, "networks">): void {
  app.post("/networks/prune", async (request, reply) => {
    const filters = Filters.parse(request.form.get("filters"));
    return sendJson(reply, NetworksPruneReport, await networks.prune(filters));
  });
}
