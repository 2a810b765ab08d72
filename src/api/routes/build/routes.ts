import type { FastifyInstance } from "fastify";
import { EngineError } from "#base/errors";
import { sendJsonText } from "../../reply.ts";

/**
 * The builder is not here yet. `/grpc` and `/session` are what buildx tries first: the clean refusal of a connection
 * upgrade makes it look for another driver and name the reason.
 */
export function buildRoutes(app: FastifyInstance): void {
  app.post("/build", () => {
    throw new EngineError("notImplemented", "this engine cannot build images yet");
  });
  app.post("/build/prune", (_request, reply) => void sendJsonText(reply, '{"CachesDeleted":null,"SpaceReclaimed":0}'));
  app.post("/build/cancel", ({ form }) => {
    if (form.get("id") === "") throw new EngineError("invalidParameter", "build ID not provided");
    throw new EngineError("notImplemented", "this engine cannot build images yet");
  });
  app.post("/grpc", (request) => refuseUpgrade(request.headers.upgrade, "system"));
  app.post("/session", (request) => refuseUpgrade(request.headers.upgrade, "invalidParameter"));
}

function refuseUpgrade(protocol: string | undefined, kind: "system" | "invalidParameter"): never {
  if (protocol === undefined) throw new EngineError(kind, "no upgrade proto in request");
  if (protocol !== "h2c") throw new EngineError(kind, `protocol ${protocol} not supported`);
  throw new EngineError("notImplemented", "this engine has no BuildKit: use DOCKER_BUILDKIT=0");
}
