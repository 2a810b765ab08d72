import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import type { Named } from "../../urls.ts";

export function renameRoute(app: FastifyInstance, { containers }: Engine): void {
  app.post<Named>("/containers/:name/rename", async (request, reply) => {
    await containers.rename(request.params.name, request.form.get("name"));
    return reply.code(204).send();
  });
}
