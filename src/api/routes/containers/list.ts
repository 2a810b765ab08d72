import type { FastifyInstance, FastifyRequest } from "fastify";
import { ContainerSummary } from "#api-schema/container-summary";
import * as go from "#api-schema/go";
import { containerSummaryFor } from "#api-schema/versions";
import { type Engine, Filters, type ListOptions } from "#engine";
import { sendJson } from "../../reply.ts";

const ContainerSummaries = go.slice(ContainerSummary);

export function listRoute(app: FastifyInstance, { containers }: Engine): void {
  app.get("/containers/json", async (request, reply) => {
    const summaries = await containers.list(listOptions(request));
    const shown = summaries.map((summary) => containerSummaryFor(request.apiVersion, summary));
    return sendJson(reply, ContainerSummaries, shown);
  });
}

function listOptions({ form }: Pick<FastifyRequest, "form">): ListOptions {
  // Of both dockerd complains about the filters.
  const filters = Filters.parse(form.get("filters"));
  return { all: form.bool("all"), size: form.bool("size"), limit: form.int("limit") ?? 0, filters };
}
