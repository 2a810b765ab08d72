import type { FastifyInstance, FastifyRequest } from "fastify";
import { DeleteItems, ImagesPruneReport } from "#api-schema/image";
import { isOlder } from "#api-schema/versions";
import { EngineError } from "#base/errors";
import type { Platform } from "#engine";
import { type Engine, Filters } from "#engine";
import { sendJson } from "../../reply.ts";
import type { Named } from "../../urls.ts";
import { decodePlatform } from "./access.ts";

export function deleteRoute(app: FastifyInstance, { images }: Engine): void {
  app.delete<Named>("/images/:name", async (request, reply) => {
    const { form, params } = request;
    if (params.name.trim() === "") throw new EngineError("invalidParameter", "image name cannot be blank");
    const options = { force: form.bool("force"), prune: !form.bool("noprune"), ...platformOf(request) };
    return sendJson(reply, DeleteItems, images.delete(params.name, options));
  });
}

export function pruneRoute(app: FastifyInstance, { images }: Engine): void {
  app.post("/images/prune", async ({ form, clientGone }, reply) => {
    const report = await images.prune(Filters.parse(form.get("filters")), clientGone);
    return sendJson(reply, ImagesPruneReport, report);
  });
}

function platformOf({ form, apiVersion }: FastifyRequest): { platform?: Platform } {
  const platforms = isOlder(apiVersion, "1.50") ? [] : form.getAll("platforms").map(decodePlatform);
  const [platform, other] = platforms;
  if (other !== undefined) throw new EngineError("invalidParameter", "multiple platforms are not supported");
  return platform === undefined ? {} : { platform };
}
