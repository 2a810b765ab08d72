import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import type { Named } from "../../urls.ts";

export function resizeRoute(app: FastifyInstance, { containers }: Engine): void {
  app.post<Named>("/containers/:name/resize", async (request, reply) => {
    const height = request.form.uint32("h", "resize height");
    const width = request.form.uint32("w", "resize width");
    await containers.resize(request.params.name, height, width);
    return reply.send();
  });
}
