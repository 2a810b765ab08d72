import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import { diskUsageRoute } from "./disk-usage.ts";
import { eventsRoute } from "./events.ts";
import { infoRoute } from "./info.ts";
import { pingRoutes } from "./ping.ts";
import { versionRoute } from "./version.ts";

export function systemRoutes(app: FastifyInstance, engine: Engine): void {
  for (const add of [diskUsageRoute, eventsRoute, infoRoute, pingRoutes, versionRoute]) add(app, engine);
}
