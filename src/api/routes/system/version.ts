import type { FastifyInstance } from "fastify";
import { SystemVersion } from "#api-schema/system";
import type { Engine } from "#engine";
import { sendJson } from "../../reply.ts";

export function versionRoute(app: FastifyInstance, { system }: Engine): void {
  app.get("/version", (_request, reply) => void sendJson(reply, SystemVersion, system.version()));
}
