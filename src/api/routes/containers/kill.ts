import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import type { Named } from "../../urls.ts";

export function killRoute(app: FastifyInstance, { containers }: Engine): void {
  app.post<Named>("/containers/:name/kill", async (request, reply) => {
    await containers.kill(request.params.name, request.form.get("signal"));
    return reply.code(204).send();
  });
}
