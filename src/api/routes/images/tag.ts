import type { FastifyInstance } from "fastify";
import { EngineError } from "#base/errors";
import type { Engine } from "#engine";
import { parseRepoTag } from "#registry";
import type { Named } from "../../urls.ts";

export function tagRoute(app: FastifyInstance, { images }: Engine): void {
  app.post<Named>("/images/:name/tag", async ({ form, params }, reply) => {
    const ref = parseRepoTag(form.get("repo"), form.get("tag"));
    if (ref === undefined) throw new EngineError("invalidParameter", "");
    images.tag(params.name, ref);
    return reply.code(201).send();
  });
}
