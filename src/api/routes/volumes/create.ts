import type { FastifyInstance } from "fastify";
import { isOlder } from "#api-schema/versions";
import { Volume, VolumeCreateRequest } from "#api-schema/volume";
import type { Engine } from "#engine";
import { readJson } from "../../body.ts";
import { sendJson } from "../../reply.ts";
import { refuseToManage } from "../swarm/routes.ts";

export function createRoute(app: FastifyInstance, { volumes }: Pick<Engine, "volumes">): void {
  app.post("/volumes/create", async (request, reply) => {
    const asked = await readJson(request, VolumeCreateRequest);
    // Volumes of a cluster belong to a swarm.
    if (asked.ClusterVolumeSpec !== null && !isOlder(request.apiVersion, "1.42")) refuseToManage();
    const volume = await volumes.create(asked);
    return sendJson(reply.code(201), Volume, volume);
  });
}
