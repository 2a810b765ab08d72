import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import { createRoute } from "./create.ts";
import { inspectRoute } from "./inspect.ts";
import { listRoute } from "./list.ts";
import { pruneRoute } from "./prune.ts";
import { removeRoute } from "./remove.ts";
import { updateRoute } from "./update.ts";

export function volumeRoutes(app: FastifyInstance, engine: Pick<Engine, "volumes">): void {
  for (const add of [createRoute, inspectRoute, listRoute, pruneRoute, removeRoute, updateRoute]) add(app, engine);
}
