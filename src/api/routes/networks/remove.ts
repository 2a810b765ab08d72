import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import type { Named } from "../../urls.ts";

export function removeRoute(app: FastifyInstance, { networks }: Pick<Engine, "networks">): void {
  app.delete<Named>("/networks/:name", async (request, reply) => {
    await networks.remove(request.params.name);
    return reply.code(204).send();
  });
}
