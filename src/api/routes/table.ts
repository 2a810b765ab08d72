import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import type { ServerIdentity } from "../request.ts";
import { buildRoutes } from "./build/routes.ts";
import { checkpointRoutes } from "./checkpoints/routes.ts";
import { containerRoutes } from "./containers/routes.ts";
import { execRoutes } from "./exec/routes.ts";
import { imageRoutes } from "./images/routes.ts";
import { networkRoutes } from "./networks/routes.ts";
import { pluginRoutes } from "./plugins/routes.ts";
import { swarmRoutes } from "./swarm/routes.ts";
import { systemRoutes } from "./system/routes.ts";
import { volumeRoutes } from "./volumes/routes.ts";

/** Every route of the Engine API, by the areas of its reference. */
export function addRoutes(app: FastifyInstance, engine: Engine, { isExperimental }: ServerIdentity): void {
  systemRoutes(app, engine);
  containerRoutes(app, engine);
  checkpointRoutes(app, engine, isExperimental);
  execRoutes(app, engine);
  imageRoutes(app, engine);
  networkRoutes(app, engine);
  volumeRoutes(app, engine);
  buildRoutes(app);
  swarmRoutes(app);
  pluginRoutes(app);
}
