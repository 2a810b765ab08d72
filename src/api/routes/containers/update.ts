import type { FastifyInstance } from "fastify";
import { UpdateConfig, UpdateResponse } from "#api-schema/container-verbs";
import { updateRequestFor } from "#api-schema/versions";
import type { Engine } from "#engine";
import { readJson } from "../../body.ts";
import { sendJson } from "../../reply.ts";
import type { Named } from "../../urls.ts";

export function updateRoute(app: FastifyInstance, { containers }: Engine): void {
  app.post<Named>("/containers/:name/update", async (request, reply) => {
    const asked = updateRequestFor(request.apiVersion, await readJson(request, UpdateConfig));
    return sendJson(reply, UpdateResponse, await containers.update(request.params.name, asked));
  });
}
