import type { FastifyInstance } from "fastify";
import { NetworkInspect } from "#api-schema/network";
import { EngineError } from "#base/errors";
import { goQuote } from "#base/strconv";
import type { Engine } from "#engine";
import { sendJson } from "../../reply.ts";
import type { Named } from "../../urls.ts";

export function inspectRoute(app: FastifyInstance, { networks }: Pick<Engine, "networks">): void {
  app.get<Named>("/networks/:name", async (request, reply) => {
    checkVerbose(request.form.get("verbose"));
    const network = networks.inspect(request.params.name, { scope: request.form.get("scope") });
    return sendJson(reply, NetworkInspect, network);
  });
}

const goBools = ["", "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"];

/** It only adds services of a swarm, of which there are none; moby is strict about the word all the same. */
function checkVerbose(text: string): void {
  if (goBools.includes(text)) return;
  const reason = `strconv.ParseBool: parsing ${goQuote(text)}: invalid syntax`;
  throw new EngineError("invalidParameter", `invalid value for verbose: ${text}: ${reason}`);
}
