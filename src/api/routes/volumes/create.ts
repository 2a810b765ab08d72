import type { FastifyInstance } from "fastify";
import { Volume, VolumeCreateRequest } from "#api-schema/volume";
import type { Engine } from "#engine";
import { readJson } from "../../body.ts";
import { sendJson } from "../../reply.ts";

export function createRoute(app: FastifyInstance, { volumes }: Pick<Engine, "volumes">): void {
  app.post("/volumes/create", async (request, reply) => {
    const volume = await volumes.create(await readJson(request, VolumeCreateRequest));
    return sendJson(reply.code(201), Volume, volume);
  });
}
