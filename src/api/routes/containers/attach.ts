import type { FastifyInstance, FastifyRequest } from "fastify";
import type { AttachOptions, AttachSession, Engine } from "#engine";
import { refuseAttach, runSession } from "../../hijack.ts";
import { skipBody } from "../../upgrade.ts";
import type { Named } from "../../urls.ts";

export function attachRoute(app: FastifyInstance, { containers }: Engine): void {
  app.post<Named>("/containers/:name/attach", async (request, reply) => {
    let session: AttachSession;
    try {
      session = containers.attach(request.params.name, attachOptions(request));
    } catch (error) {
      refuseAttach(request, reply, error);
      return reply;
    }
    await skipBody(request);
    await runSession(request, reply, session);
    return reply;
  });
}

function attachOptions({ form }: Pick<FastifyRequest, "form">): AttachOptions {
  return {
    stdin: form.bool("stdin"),
    stdout: form.bool("stdout"),
    stderr: form.bool("stderr"),
    stream: form.bool("stream"),
    logs: form.bool("logs"),
    detachKeys: form.get("detachKeys"),
    framing: "stdcopy",
  };
}
