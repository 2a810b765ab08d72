import type { FastifyInstance } from "fastify";
import { TopResponse } from "#api-schema/container-verbs";
import type { Engine } from "#engine";
import { sendJson } from "../../reply.ts";
import type { Named } from "../../urls.ts";

export function topRoute(app: FastifyInstance, { containers }: Engine): void {
  app.get<Named>("/containers/:name/top", async (request, reply) =>
    sendJson(reply, TopResponse, await containers.top(request.params.name, request.form.get("ps_args"))),
  );
}
