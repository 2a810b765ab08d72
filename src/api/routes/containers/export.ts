import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import { sendStream } from "../../stream.ts";
import type { Named } from "../../urls.ts";

export function exportRoute(app: FastifyInstance, { containers }: Engine): void {
  app.get<Named>("/containers/:name/export", async (request, reply) => {
    const tar = await containers.export(request.params.name, request.clientGone);
    return sendStream(reply.header("content-type", "application/octet-stream"), tar);
  });
}
