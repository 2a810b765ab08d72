import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { messageOf } from "#base/errors";
import type { Engine } from "#engine";
import { type ProgressSink, sendProgress } from "../../progress.ts";
import { sendStream } from "../../stream.ts";
import type { Named } from "../../urls.ts";
import { onlyPlatformOf } from "./access.ts";

/** `docker save` and `docker load`. */
export function archiveRoutes(app: FastifyInstance, { images }: Engine): void {
  const save = async (names: readonly string[], request: FastifyRequest, reply: FastifyReply) => {
    const { platform } = onlyPlatformOf(request, "1.48");
    const archive = await images.save(names, platform, request.clientGone);
    return sendStream(reply.header("content-type", "application/x-tar"), archive);
  };
  app.get("/images/get", async (request, reply) => save(request.form.getAll("names"), request, reply));
  app.get<Named>("/images/:name/get", async (request, reply) => save([request.params.name], request, reply));
  app.post("/images/load", async (request, reply) => {
    const load = {
      archive: request.raw,
      isQuiet: request.form.bool("quiet", true),
      ...onlyPlatformOf(request, "1.48"),
    };
    // Whatever is wrong with an archive is a line of a 200: moby never gives load another status.
    return sendProgress(reply, (output) => images.load(load, output, request.clientGone).catch(reportTo(output)));
  });
}

const reportTo = (output: ProgressSink) => (error: unknown) => {
  const message = messageOf(error);
  output.write({ errorDetail: { message }, error: message });
};
