import type { FastifyInstance } from "fastify";
import { NetworkConnectRequest, NetworkDisconnectRequest } from "#api-schema/network";
import type { Engine } from "#engine";
import { readJson } from "../../body.ts";
import type { Named } from "../../urls.ts";

export function membershipRoutes(app: FastifyInstance, { networks }: Pick<Engine, "networks">): void {
  app.post<Named>("/networks/:name/connect", async (request, reply) => {
    const { Container, EndpointConfig } = await readJson(request, NetworkConnectRequest);
    await networks.connect(request.params.name, Container, EndpointConfig);
    return reply.code(200).send();
  });

  app.post<Named>("/networks/:name/disconnect", async (request, reply) => {
    const { Container, Force } = await readJson(request, NetworkDisconnectRequest);
    await networks.disconnect(request.params.name, Container, { force: Force });
    return reply.code(200).send();
  });
}
