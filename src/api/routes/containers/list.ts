import type { FastifyInstance, FastifyRequest } from "fastify";
import { ContainerSummary } from "#api-schema/container-summary";
import { containerSummaryFor } from "#api-schema/versions";
import { type Engine, Filters, type ListOptions } from "#engine";
import { keepingEncoder } from "../../encode.ts";
import { sendJsonText } from "../../reply.ts";

export function listRoute(app: FastifyInstance, { containers }: Engine): void {
  // A container that has not changed is the same object in the next list.
  const textOf = keepingEncoder(ContainerSummary);
  app.get("/containers/json", async (request, reply) => {
    const summaries = await containers.list(listOptions(request));
    const shown = summaries.map((summary) => containerSummaryFor(request.apiVersion, summary));
    return sendJsonText(reply, `[${shown.map(textOf).join(",")}]`);
  });
}

function listOptions({ form }: Pick<FastifyRequest, "form">): ListOptions {
  // Of both dockerd complains about the filters.
  const filters = Filters.parse(form.get("filters"));
  return { all: form.bool("all"), size: form.bool("size"), limit: form.int("limit") ?? 0, filters };
}
