import type { FastifyInstance } from "fastify";
import { usedImageFor } from "#api-schema/image-versions";
import { DiskUsage } from "#api-schema/system";
import { isOlder } from "#api-schema/versions";
import type { Engine } from "#engine";
import { sendJson } from "../../reply.ts";

export function diskUsageRoute(app: FastifyInstance, { system }: Engine): void {
  app.get("/system/df", async (request, reply) => {
    const { apiVersion, form, clientGone } = request;
    const types = isOlder(apiVersion, "1.42") ? [] : form.getAll("type");
    const usage = await system.diskUsage(types, clientGone);
    const images = usage.Images?.map((image) => image && usedImageFor(apiVersion, image)) ?? null;
    return sendJson(reply, DiskUsage, { ...usage, Images: images });
  });
}
