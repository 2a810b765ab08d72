import type { FastifyInstance, FastifyRequest } from "fastify";
import { isOlder } from "#api-schema/versions";
import type { AttachOptions, Engine } from "#engine";
import type { Named } from "../../urls.ts";
import { acceptWebSocket } from "../../websocket.ts";

export function attachWebSocketRoute(app: FastifyInstance, { containers }: Engine): void {
  app.get<Named>("/containers/:name/attach/ws", async (request, reply) => {
    const options = attachOptions(request);
    const session = containers.attach(request.params.name, options);
    await session.connect(acceptWebSocket(request, reply, { takesInput: options.stdin }));
    return reply;
  });
}

function attachOptions({ apiVersion, form }: Pick<FastifyRequest, "apiVersion" | "form">): AttachOptions {
  // Before 1.42 a websocket carried all three, whatever was asked for.
  const isAll = isOlder(apiVersion, "1.42");
  return {
    stdin: isAll || form.bool("stdin"),
    stdout: isAll || form.bool("stdout"),
    stderr: isAll || form.bool("stderr"),
    stream: form.bool("stream"),
    logs: form.bool("logs"),
    detachKeys: form.get("detachKeys"),
    framing: "raw",
  };
}
