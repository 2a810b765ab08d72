import type { FastifyInstance, FastifyRequest } from "fastify";
import { ImageSummaries } from "#api-schema/image";
import { imageSummaryFor } from "#api-schema/image-versions";
import { isOlder } from "#api-schema/versions";
import { type Engine, Filters } from "#engine";
import { sendJson } from "../../reply.ts";

export function listRoute(app: FastifyInstance, { images }: Engine): void {
  app.get("/images/json", async (request, reply) => {
    const { form, apiVersion } = request;
    const sharedSize = !isOlder(apiVersion, "1.42") && form.bool("shared-size");
    const summaries = images.list({ all: form.bool("all"), sharedSize, filters: filtersOf(request) });
    return sendJson(
      reply,
      ImageSummaries,
      summaries.map((summary) => imageSummaryFor(apiVersion, summary)),
    );
  });
}

/** Until 1.40 one pattern for names had a word of its own. */
function filtersOf({ form, apiVersion }: FastifyRequest): Filters {
  const filters = Filters.parse(form.get("filters"));
  const pattern = isOlder(apiVersion, "1.41") ? form.get("filter") : "";
  return pattern === "" ? filters : filters.with("reference", pattern);
}
