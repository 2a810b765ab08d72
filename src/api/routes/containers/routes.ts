import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import { archiveRoutes } from "./archive.ts";
import { attachRoute } from "./attach.ts";
import { attachWebSocketRoute } from "./attach-ws.ts";
import { changesRoute } from "./changes.ts";
import { createRoute } from "./create.ts";
import { exportRoute } from "./export.ts";
import { inspectRoute } from "./inspect.ts";
import { killRoute } from "./kill.ts";
import { listRoute } from "./list.ts";
import { logsRoute } from "./logs.ts";
import { pauseRoutes } from "./pause.ts";
import { pruneRoute } from "./prune.ts";
import { removeRoute } from "./remove.ts";
import { renameRoute } from "./rename.ts";
import { resizeRoute } from "./resize.ts";
import { startRoute } from "./start.ts";
import { statsRoute } from "./stats.ts";
import { restartRoute, stopRoute } from "./stop.ts";
import { topRoute } from "./top.ts";
import { updateRoute } from "./update.ts";
import { waitRoute } from "./wait.ts";

export function containerRoutes(app: FastifyInstance, engine: Engine): void {
  for (const add of [
    archiveRoutes,
    attachRoute,
    attachWebSocketRoute,
    changesRoute,
    createRoute,
    exportRoute,
    inspectRoute,
    killRoute,
    listRoute,
    logsRoute,
    pauseRoutes,
    pruneRoute,
    removeRoute,
    renameRoute,
    resizeRoute,
    restartRoute,
    startRoute,
    statsRoute,
    stopRoute,
    topRoute,
    updateRoute,
    waitRoute,
  ])
    add(app, engine);
}
