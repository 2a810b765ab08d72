import type { FastifyInstance } from "fastify";
import { Stats } from "#api-schema/container-stats";
import { isOlder } from "#api-schema/versions";
import type { Engine } from "#engine";
import { encode } from "../../encode.ts";
import { sendJsonText } from "../../reply.ts";
import { sendLines } from "../../stream.ts";
import type { Named } from "../../urls.ts";

export function statsRoute(app: FastifyInstance, { containers }: Engine): void {
  app.get<Named>("/containers/:name/stats", async (request, reply) => {
    const stream = request.form.bool("stream", true);
    const oneShot = !isOlder(request.apiVersion, "1.41") && request.form.bool("one-shot");
    const samples = containers.stats(request.params.name, { stream, oneShot }, request.clientGone);
    const encodeSample = (sample: Stats) => encode(Stats, sample, { escapeHtml: true });
    if (stream) return sendLines(reply, samples, encodeSample);
    for await (const sample of samples) return sendJsonText(reply, encodeSample(sample));
    return reply.send();
  });
}
