import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { NetworkList } from "#api-schema/network";
import { isOlder } from "#api-schema/versions";
import { type Engine, Filters } from "#engine";
import { sendJson } from "../../reply.ts";

export function listRoute(app: FastifyInstance, { networks }: Pick<Engine, "networks">): void {
  const list = async (request: FastifyRequest, reply: FastifyReply) => {
    const filters = Filters.parse(request.form.get("filters"));
    // Since 1.28 a list says nothing about containers.
    const isDetailed = isOlder(request.apiVersion, "1.28");
    return sendJson(reply, NetworkList, networks.list(filters, { isDetailed }));
  };
  app.get("/networks", list);
  // moby knows this one path with a slash at its end.
  app.get("/networks/", list);
}
