import type { FastifyInstance } from "fastify";
import { EngineError } from "#base/errors";

/** Checkpoints are an experimental feature of dockerd, and are refused in its words. */
export function checkpointRoutes(app: FastifyInstance): void {
  app.get("/containers/:name/checkpoints", refuse);
  app.post("/containers/:name/checkpoints", refuse);
  app.delete("/containers/:name/checkpoints/:checkpoint", refuse);
}

function refuse(): never {
  throw new EngineError(
    "notImplemented",
    "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it.",
  );
}
