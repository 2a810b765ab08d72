import type { FastifyInstance } from "fastify";
import { EngineError } from "#base/errors";
import type { Named } from "../../urls.ts";

/** Only volumes of a swarm can be changed. */
export function updateRoute(app: FastifyInstance): void {
  app.put<Named>("/volumes/:name", async () => {
    throw new EngineError("unavailable", "volume update only valid for cluster volumes, but swarm is unavailable");
  });
}
