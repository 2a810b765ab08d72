import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import type { Named } from "../../urls.ts";

export function removeRoute(app: FastifyInstance, { volumes }: Pick<Engine, "volumes">): void {
  app.delete<Named>("/volumes/:name", async (request, reply) => {
    await volumes.remove(request.params.name, { force: request.form.bool("force") });
    return reply.code(204).send();
  });
}
