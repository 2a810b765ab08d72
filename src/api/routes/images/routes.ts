import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import { archiveRoutes } from "./archive.ts";
import { commitRoute } from "./commit.ts";
import { createRoute } from "./create.ts";
import { deleteRoute, pruneRoute } from "./delete.ts";
import { historyRoute, inspectRoute } from "./inspect.ts";
import { listRoute } from "./list.ts";
import { pushRoute } from "./push.ts";
import { distributionRoute, loginRoute } from "./registry.ts";
import { searchRoute } from "./search.ts";
import { tagRoute } from "./tag.ts";

/** Images, and what the API's reference counts to them: registries and commits. */
export function imageRoutes(app: FastifyInstance, engine: Engine): void {
  for (const add of [
    archiveRoutes,
    commitRoute,
    createRoute,
    deleteRoute,
    distributionRoute,
    historyRoute,
    inspectRoute,
    listRoute,
    loginRoute,
    pruneRoute,
    pushRoute,
    searchRoute,
    tagRoute,
  ])
    add(app, engine);
}
