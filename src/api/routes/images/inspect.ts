import type { FastifyInstance } from "fastify";
import { History, ImageInspect, LegacyImageInspect } from "#api-schema/image";
import { imageInspectFor, legacyConfigFields } from "#api-schema/image-versions";
import { isOlder } from "#api-schema/versions";
import { EngineError } from "#base/errors";
import type { Engine } from "#engine";
import { sendJson } from "../../reply.ts";
import type { Named } from "../../urls.ts";
import { platformOf } from "./access.ts";

/** moby merges this answer out of two with Go's own encoder, which escapes what HTML would read. */
const merged = { escapeHtml: true };

export function inspectRoute(app: FastifyInstance, { images }: Engine): void {
  app.get<Named>("/images/:name/json", async (request, reply) => {
    const { params, apiVersion, form } = request;
    const { platform } = platformOf(request, "1.49");
    if (platform !== undefined && form.bool("manifests")) {
      throw new EngineError(
        "invalidParameter",
        "conflicting options: manifests and platform options cannot both be set",
      );
    }
    const image = imageInspectFor(apiVersion, images.inspect(params.name, platform));
    if (!isOlder(apiVersion, "1.50")) return sendJson(reply, ImageInspect, image, merged);
    const legacy = { ...image, Config: { ...image.Config, ...legacyConfigFields } };
    return sendJson(reply, LegacyImageInspect, legacy, merged);
  });
}

export function historyRoute(app: FastifyInstance, { images }: Engine): void {
  app.get<Named>("/images/:name/history", async (request, reply) => {
    const { platform } = platformOf(request, "1.48");
    return sendJson(reply, History, images.history(request.params.name, platform));
  });
}
