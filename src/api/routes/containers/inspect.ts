import type { FastifyInstance } from "fastify";
import { ContainerInspect } from "#api-schema/container-inspect";
import { containerInspectFor } from "#api-schema/versions";
import type { Engine } from "#engine";
import { sendJson } from "../../reply.ts";
import type { Named } from "../../urls.ts";

export function inspectRoute(app: FastifyInstance, { containers }: Engine): void {
  app.get<Named>("/containers/:name/json", async (request, reply) => {
    const container = await containers.inspect(request.params.name, { size: request.form.bool("size") });
    return sendJson(reply, ContainerInspect, containerInspectFor(request.apiVersion, container));
  });
}
