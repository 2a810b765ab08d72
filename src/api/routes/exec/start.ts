import type { FastifyInstance } from "fastify";
import { ExecStartOptions } from "#api-schema/exec";
import { isOlder } from "#api-schema/versions";
import type { Engine } from "#engine";
import { readJson } from "../../body.ts";
import { repeatedHeaders, runSession, withHeadStart } from "../../hijack.ts";
import type { Named } from "../../urls.ts";

/** Attached, a failure to run is text in the stream; detached, it is a status. */
export function execStartRoute(app: FastifyInstance, { execs }: Engine): void {
  app.post<Named>("/exec/:name/start", async (request, reply) => {
    const { Detach, Tty, ConsoleSize } = await readJson(request, ExecStartOptions);
    const hasSize = Tty && !isOlder(request.apiVersion, "1.42");
    const options = { isTty: Tty, consoleSize: hasSize ? (ConsoleSize ?? undefined) : undefined };
    if (Detach) {
      await execs.startDetached(request.params.name, options);
      return reply.send();
    }
    const session = withHeadStart(request, execs.start(request.params.name, options));
    await runSession(request, reply, session, repeatedHeaders(reply));
    return reply;
  });
}
