import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import { execCreateRoute } from "./create.ts";
import { execInspectRoute } from "./inspect.ts";
import { execResizeRoute } from "./resize.ts";
import { execStartRoute } from "./start.ts";

export function execRoutes(app: FastifyInstance, engine: Engine): void {
  for (const add of [execCreateRoute, execInspectRoute, execResizeRoute, execStartRoute]) add(app, engine);
}
