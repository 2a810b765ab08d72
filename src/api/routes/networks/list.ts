import type { FastifyInstance } from "fastify";
import { NetworkList } from "#api-schema/network";
import { isOlder } from "#api-schema/versions";
import { type Engine, Filters } from "#engine";
import { sendJson } from "../../reply.ts";

export function listRoute(app: FastifyInstance, { networks }: Pick<Engine, "networks">): void {
  app.get("/networks", async (request, reply) => {
    const filters = Filters.parse(request.form.get("filters"));
    // Since 1.28 a list says nothing about containers.
    const isDetailed = isOlder(request.apiVersion, "1.28");
    return sendJson(reply, NetworkList, networks.list(filters, { isDetailed }));
  });
}
