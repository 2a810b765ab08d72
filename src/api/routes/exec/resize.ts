import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import type { Named } from "../../urls.ts";

export function execResizeRoute(app: FastifyInstance, { execs }: Engine): void {
  app.post<Named>("/exec/:name/resize", async (request, reply) => {
    const height = request.form.uint32("h", "resize height");
    const width = request.form.uint32("w", "resize width");
    await execs.resize(request.params.name, height, width);
    return reply.send();
  });
}
