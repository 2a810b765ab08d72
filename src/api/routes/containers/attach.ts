import type { FastifyInstance, FastifyRequest } from "fastify";
import type { AttachOptions, AttachSession, Engine } from "#engine";
import { refuseAttach, runSession, withHeadStart } from "../../hijack.ts";
import { skipBody } from "../../upgrade.ts";
import type { Named } from "../../urls.ts";

export function attachRoute(app: FastifyInstance, { containers }: Engine): void {
  app.post<Named>("/containers/:name/attach", async (request, reply) => {
    const options = attachOptions(request);
    let session: AttachSession;
    try {
      session = containers.attach(request.params.name, options);
    } catch (error) {
      refuseAttach(request, reply, error);
      return reply;
    }
    await skipBody(request);
    // Only what a log holds can wait without loss.
    await runSession(request, reply, options.stream ? session : withHeadStart(request, session));
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
