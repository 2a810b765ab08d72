import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import { createRoute } from "./create.ts";
import { inspectRoute } from "./inspect.ts";
import { listRoute } from "./list.ts";
import { membershipRoutes } from "./membership.ts";
import { pruneRoute } from "./prune.ts";
import { removeRoute } from "./remove.ts";

export function networkRoutes(app: FastifyInstance, engine: Pick<Engine, "networks">): void {
  for (const add of [createRoute, inspectRoute, listRoute, membershipRoutes, pruneRoute, removeRoute]) add(app, engine);
}
