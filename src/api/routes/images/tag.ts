import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import { parseRepoTag } from "#engine";
import type { Named } from "../../urls.ts";

export function tagRoute(app: FastifyInstance, { images }: Engine): void {
  app.post<Named>("/images/:name/tag", async ({ form, params }, reply) => {
    const ref = parseRepoTag(form.get("repo"), form.get("tag"));
    // moby answers 200 with nothing here, having lost its error on the way.
    if (ref === undefined) return reply.send();
    images.tag(params.name, ref);
    return reply.code(201).send();
  });
}
