import type { FastifyInstance } from "fastify";
import { isOlder } from "#api-schema/versions";
import { VolumePruneReport } from "#api-schema/volume";
import { type Engine, Filters } from "#engine";
import { sendJson } from "../../reply.ts";

export function pruneRoute(app: FastifyInstance, { volumes }: Pick<Engine, "volumes">): void {
  app.post("/volumes/prune", async (request, reply) => {
    const filters = Filters.parse(request.form.get("filters"));
    // Before 1.42 there was no difference between named and anonymous ones.
    const wanted = isOlder(request.apiVersion, "1.42") ? filters.with("all", "true") : filters;
    return sendJson(reply, VolumePruneReport, await volumes.prune(wanted, request.clientGone));
  });
}
