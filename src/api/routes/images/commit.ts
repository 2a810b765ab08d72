import type { FastifyInstance } from "fastify";
import { CreateRequest } from "#api-schema/container-config";
import { CommitReply } from "#api-schema/image";
import type { Engine } from "#engine";
import { parseRepoTag } from "#engine";
import { readJson } from "../../body.ts";
import { sendJson } from "../../reply.ts";
import { hasBody } from "../../wire.ts";

export function commitRoute(app: FastifyInstance, { images, containers }: Engine): void {
  app.post("/commit", async (request, reply) => {
    const { form, clientGone } = request;
    const body = hasBody(request.raw) ? { config: await readConfig(request) } : {};
    const ref = parseRepoTag(form.get("repo"), form.get("tag"));
    const commit = {
      container: form.get("container"),
      pause: form.bool("pause", true),
      author: form.get("author"),
      comment: form.get("comment"),
      changes: form.getAll("changes"),
      ...(ref === undefined ? {} : { ref }),
      ...body,
    };
    const id = await images.commit(containers, commit, clientGone);
    return sendJson(reply.code(201), CommitReply, { Id: id });
  });
}

/** Clients may send a whole create request; only the container's own part counts. */
async function readConfig(request: Parameters<typeof readJson>[0]) {
  const { HostConfig: _host, NetworkingConfig: _networking, ...config } = await readJson(request, CreateRequest);
  return config;
}
