import type { FastifyInstance, FastifyRequest } from "fastify";
import { AuthConfig, AuthReply, DistributionInspect } from "#api-schema/image";
import { EngineError } from "#base/errors";
import { JsonEmptyError, JsonSyntaxError, parseJson } from "#base/json";
import type { Engine } from "#engine";
import { credentialsOf } from "#engine";
import { readJsonText } from "../../body.ts";
import { decode, JsonTypeError } from "../../decode.ts";
import { sendJson } from "../../reply.ts";
import type { Named } from "../../urls.ts";
import { accessOf } from "./access.ts";

/** `docker login`: the registry is asked, nothing is kept. */
export function loginRoute(app: FastifyInstance, { images }: Engine): void {
  app.post("/auth", { config: { hasForm: false } }, async (request, reply) => {
    const credentials = credentialsOf(await readAuthConfig(request));
    const access = { ...accessOf(request), credentials };
    const { status, identityToken } = await images.login(access, request.clientGone);
    return sendJson(reply, AuthReply, { IdentityToken: identityToken, Status: status });
  });
}

export function distributionRoute(app: FastifyInstance, { images }: Engine): void {
  app.get<Named>("/distribution/:name/json", async (request, reply) => {
    const found = await images.inspectDistribution(request.params.name, accessOf(request), request.clientGone);
    return sendJson(reply, DistributionInspect, found);
  });
}

/** Read bare, unlike other bodies: any Content-Type will do, and what is wrong is a 500 in the decoder's own words. */
async function readAuthConfig(request: FastifyRequest): Promise<AuthConfig> {
  const text = await readJsonText(request);
  try {
    return decode(AuthConfig, parseJson(text).value, "unnamed");
  } catch (error) {
    const isJson = [JsonEmptyError, JsonSyntaxError, JsonTypeError].some((kind) => error instanceof kind);
    throw isJson && error instanceof Error ? new EngineError("system", error.message, { cause: error }) : error;
  }
}
