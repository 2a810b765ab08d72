import type { FastifyInstance, FastifyRequest } from "fastify";
import { EngineError } from "#base/errors";
import { goQuote } from "#base/strconv";
import { Filters } from "#engine";
import { sendJsonText } from "../../reply.ts";
import type { Named } from "../../urls.ts";

/** Managed plugins are not supported: there are none, and none can be installed. */
export function pluginRoutes(app: FastifyInstance): void {
  app.get("/plugins", async ({ form }, reply) => {
    Filters.parse(form.get("filters")).validate(["enabled", "capability"]);
    return sendJsonText(reply, "[]");
  });
  app.get<Named>("/plugins/:name/json", unknown);
  app.delete<Named>("/plugins/:name", unknown);
  for (const verb of ["enable", "disable", "push", "upgrade", "set"])
    app.post<Named>(`/plugins/:name/${verb}`, unknown);
  app.get("/plugins/privileges", unsupported);
  for (const verb of ["pull", "create"]) app.post(`/plugins/${verb}`, unsupported);
}

function unknown({ params }: FastifyRequest<Named>): never {
  throw new EngineError("notFound", `plugin ${goQuote(params.name)} not found`);
}

function unsupported(): never {
  throw new EngineError("notImplemented", "this engine does not support managed plugins");
}
