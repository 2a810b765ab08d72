import type { FastifyInstance } from "fastify";
import { NetworkCreateRequest, NetworkCreateResponse } from "#api-schema/network";
import { isOlder } from "#api-schema/versions";
import type { Engine } from "#engine";
import { readJson } from "../../body.ts";
import { sendJson } from "../../reply.ts";

export function createRoute(app: FastifyInstance, { networks }: Pick<Engine, "networks">): void {
  app.post("/networks/create", async (request, reply) => {
    const asked = await readJson(request, NetworkCreateRequest);
    // The field came with 1.48; what an older client sends under its name means nothing.
    const wish = isOlder(request.apiVersion, "1.48") ? { ...asked, EnableIPv4: null } : asked;
    return sendJson(reply.code(201), NetworkCreateResponse, await networks.create(wish));
  });
}
