import type { FastifyInstance, FastifyRequest } from "fastify";
import { EngineError } from "#base/errors";

const notManager =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

/** This engine is never part of a swarm, and answers as a dockerd that is not (moby api/server/router/swarm). */
export function swarmRoutes(app: FastifyInstance): void {
  const refused = { GET: managerReads, POST: managerWrites, DELETE: managerRemovals };
  for (const [method, urls] of Object.entries(refused))
    for (const url of urls) app.route({ method, url, handler: refuseToManage });
  app.post("/swarm/leave", () => {
    throw new EngineError("unavailable", "This node is not part of a swarm");
  });
  for (const url of ["/swarm/init", "/swarm/join"])
    app.post(url, () => {
      throw new EngineError("notImplemented", "this engine does not support swarm mode");
    });
  for (const [kind, plural] of Object.entries(versioned)) addUpdate(app, kind, plural);
  for (const url of ["/services/:id/logs", "/tasks/:id/logs"]) app.get(url, refuseLogs);
}

const managerReads = ["/swarm", "/swarm/unlockkey"].concat(
  ...["services", "nodes", "tasks", "secrets", "configs"].map((kind) => [`/${kind}`, `/${kind}/:id`]),
);
const managerWrites = ["/swarm/unlock", "/services/create", "/secrets/create", "/configs/create"];
const managerRemovals = ["services", "nodes", "secrets", "configs"].map((kind) => `/${kind}/:id`);

export function refuseToManage(): never {
  throw new EngineError("unavailable", notManager);
}

function refuseLogs({ form }: FastifyRequest): never {
  if (!form.bool("stdout") && !form.bool("stderr"))
    throw new EngineError("system", "Bad parameters: you must choose at least one stream");
  return refuseToManage();
}

const versioned = {
  swarm: "/swarm",
  service: "/services/:id",
  node: "/nodes/:id",
  secret: "/secrets/:id",
  config: "/configs/:id",
};

/** Updates check the version that they were read at before anything else. */
function addUpdate(app: FastifyInstance, kind: string, url: string): void {
  app.post(`${url}/update`, ({ form }) => {
    const version = form.get("version");
    if (/^[0-9]+$/.test(version)) return refuseToManage();
    const isBrief = kind === "secret" || kind === "config";
    const reason = `'${version}': strconv.ParseUint: parsing ${JSON.stringify(version)}: invalid syntax`;
    throw new EngineError("invalidParameter", `invalid ${kind} version${isBrief ? "" : ` ${reason}`}`);
  });
}
