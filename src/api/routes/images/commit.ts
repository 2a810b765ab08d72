import type { FastifyInstance, FastifyRequest } from "fastify";
import { CreateRequest } from "#api-schema/container-config";
import { CommitReply } from "#api-schema/image";
import type { Engine } from "#engine";
import { parseRepoTag } from "#engine";
import { readOptionalJson } from "../../body.ts";
import { sendJson } from "../../reply.ts";

export function commitRoute(app: FastifyInstance, { images, containers }: Engine): void {
  app.post("/commit", async (request, reply) => {
    const { form, clientGone } = request;
    const config = await readConfig(request);
    const ref = parseRepoTag(form.get("repo"), form.get("tag"));
    const commit = {
      container: form.get("container"),
      pause: form.bool("pause", true),
      author: form.get("author"),
      comment: form.get("comment"),
      changes: form.getAll("changes"),
      ...(ref === undefined ? {} : { ref }),
      ...(config === undefined ? {} : { config }),
    };
    const id = await images.commit(containers, commit, clientGone);
    return sendJson(reply.code(201), CommitReply, { Id: id });
  });
}

/** Clients may send a whole create request; only the container's own part counts. */
async function readConfig(request: FastifyRequest) {
  const body = await readOptionalJson(request, CreateRequest);
  if (body === undefined) return undefined;
  const { HostConfig: _host, NetworkingConfig: _networking, ...config } = body;
  return config;
}
