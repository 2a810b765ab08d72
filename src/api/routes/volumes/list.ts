import type { FastifyInstance } from "fastify";
import { VolumeList } from "#api-schema/volume";
import { EngineError, messageOf } from "#base/errors";
import { type Engine, Filters } from "#engine";
import { sendJson } from "../../reply.ts";

export function listRoute(app: FastifyInstance, { volumes }: Pick<Engine, "volumes">): void {
  app.get("/volumes", async (request, reply) =>
    sendJson(reply, VolumeList, volumes.list(parseFilters(request.form.get("filters")))),
  );
}

function parseFilters(text: string): Filters {
  try {
    return Filters.parse(text);
  } catch (error) {
    const message = `error reading volume filters: ${messageOf(error)}`;
    throw new EngineError("invalidParameter", message, { cause: error });
  }
}
