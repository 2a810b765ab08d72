import type { FastifyInstance } from "fastify";
import { AuthConfig, AuthReply, DistributionInspect } from "#api-schema/image";
import type { Engine } from "#engine";
import { credentialsOf } from "#registry";
import { readJson } from "../../body.ts";
import { sendJson } from "../../reply.ts";
import type { Named } from "../../urls.ts";
import { accessOf } from "./access.ts";

/** `docker login`: the registry is asked, nothing is kept. */
export function loginRoute(app: FastifyInstance, { images }: Engine): void {
  app.post("/auth", async (request, reply) => {
    const credentials = credentialsOf(await readJson(request, AuthConfig));
    const { status, identityToken } = await images.login(credentials, request.clientGone);
    return sendJson(reply, AuthReply, { IdentityToken: identityToken, Status: status });
  });
}

export function distributionRoute(app: FastifyInstance, { images }: Engine): void {
  app.get<Named>("/distribution/:name/json", async (request, reply) => {
    const found = await images.inspectDistribution(request.params.name, accessOf(request), request.clientGone);
    return sendJson(reply, DistributionInspect, found);
  });
}
