import type { FastifyInstance } from "fastify";
import { DiskUsage } from "#api-schema/system";
import { isOlder } from "#api-schema/versions";
import type { Engine } from "#engine";
import { sendJson } from "../../reply.ts";

export function diskUsageRoute(app: FastifyInstance, { system }: Engine): void {
  app.get("/system/df", async (request, reply) => {
    const types = isOlder(request.apiVersion, "1.42") ? [] : request.form.getAll("type");
    return sendJson(reply, DiskUsage, await system.diskUsage(types, request.clientGone));
  });
}
