import type { FastifyInstance } from "fastify";
import type { Engine } from "#engine";
import { parseReference, parseRepoTag } from "#engine";
import { sendProgress } from "../../progress.ts";
import type { Named } from "../../urls.ts";
import { accessOf, platformOf } from "./access.ts";

export function pushRoute(app: FastifyInstance, { images }: Engine): void {
  app.post<Named>("/images/:name/push", async (request, reply) => {
    const { form, params, clientGone } = request;
    // Without a tag all tags are pushed.
    const ref =
      (form.get("tag") === "" ? undefined : parseRepoTag(params.name, form.get("tag"))) ?? parseReference(params.name);
    const push = { ref, access: accessOf(request), ...platformOf(request, "1.46") };
    return sendProgress(reply, (output) => images.push(push, output, clientGone));
  });
}
