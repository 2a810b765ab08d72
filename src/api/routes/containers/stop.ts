import type { FastifyInstance, FastifyRequest } from "fastify";
import { isOlder } from "#api-schema/versions";
import type { Engine, StopOptions } from "#engine";
import type { Named } from "../../urls.ts";

export function stopRoute(app: FastifyInstance, { containers }: Engine): void {
  app.post<Named>("/containers/:name/stop", async (request, reply) => {
    await containers.stop(request.params.name, stopOptions(request));
    return reply.code(204).send();
  });
}

export function restartRoute(app: FastifyInstance, { containers }: Engine): void {
  app.post<Named>("/containers/:name/restart", async (request, reply) => {
    await containers.restart(request.params.name, stopOptions(request));
    return reply.code(204).send();
  });
}

function stopOptions({ apiVersion, form }: Pick<FastifyRequest, "apiVersion" | "form">): StopOptions {
  return { timeout: form.int("t"), signal: isOlder(apiVersion, "1.42") ? "" : form.get("signal") };
}
