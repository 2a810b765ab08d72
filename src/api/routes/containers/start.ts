import type { FastifyInstance } from "fastify";
import { EngineError } from "#base/errors";
import type { Engine } from "#engine";
import type { Named } from "../../urls.ts";

/** A non-null JSON object is at least this long; shorter bodies have always been let through. */
const longestIgnoredBody = 7;

export function startRoute(app: FastifyInstance, { containers }: Engine): void {
  app.post<Named>("/containers/:name/start", async (request, reply) => {
    const { "content-length": length = "0", "transfer-encoding": encoding } = request.headers;
    if (encoding !== undefined || Number(length) > longestIgnoredBody)
      throw new EngineError(
        "invalidParameter",
        "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
      );
    const { form } = request;
    const checkpoint = { name: form.get("checkpoint"), directory: form.get("checkpoint-dir") };
    await containers.start(request.params.name, checkpoint);
    return reply.code(204).send();
  });
}
