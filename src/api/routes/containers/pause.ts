import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import type { Named } from "../../urls.ts";

export function pauseRoutes(app: FastifyInstance, { containers }: Engine): void {
  app.post<Named>("/containers/:name/pause", async (request, reply) => {
    await containers.pause(request.params.name);
    return reply.code(204).send();
  });
  app.post<Named>("/containers/:name/unpause", async (request, reply) => {
    await containers.unpause(request.params.name);
    return reply.code(204).send();
  });
}
