import type { FastifyInstance } from "fastify";
import { Volume } from "#api-schema/volume";
import type { Engine } from "#engine";
import { sendJson } from "../../reply.ts";
import type { Named } from "../../urls.ts";

export function inspectRoute(app: FastifyInstance, { volumes }: Pick<Engine, "volumes">): void {
  app.get<Named>("/volumes/:name", async (request, reply) =>
    sendJson(reply, Volume, await volumes.inspect(request.params.name)),
  );
}
