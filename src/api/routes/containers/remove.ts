import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import type { Named } from "../../urls.ts";

export function removeRoute(app: FastifyInstance, { containers }: Engine): void {
  app.delete<Named>("/containers/:name", async (request, reply) => {
    const { form } = request;
    await containers.remove(request.params.name, {
      force: form.bool("force"),
      removeVolumes: form.bool("v"),
      link: form.bool("link"),
    });
    return reply.code(204).send();
  });
}
