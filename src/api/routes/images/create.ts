import type { FastifyInstance, FastifyRequest } from "fastify";
import { isOlder } from "#api-schema/versions";
import type { Engine } from "#engine";
import {
  checkDigest,
  type Platform,
  parsePlatform,
  parseReference,
  parseRepoTag,
  type Reference,
  trimReference,
  withDigest,
  withTag,
} from "#engine";
import { sendProgress } from "../../progress.ts";
import { accessOf } from "./access.ts";

/** `docker pull` and `docker import`: one endpoint, told apart by `fromImage`. */
export function createRoute(app: FastifyInstance, { images }: Engine): void {
  app.post("/images/create", async (request, reply) => {
    const { form, clientGone } = request;
    const platform = shortPlatform(request);
    if (form.get("fromImage") !== "") {
      const pull = {
        ref: pulledReference(form.get("fromImage"), form.get("tag")),
        access: accessOf(request),
        ...platform,
      };
      return sendProgress(reply, (output) => images.pull(pull, output, clientGone));
    }
    const ref = parseRepoTag(form.get("repo"), form.get("tag"));
    const source = form.get("fromSrc");
    const wanted = {
      source: source === "-" ? request.raw : source,
      message: form.get("message") || `Imported from ${source}`,
      changes: form.getAll("changes"),
      ...(ref === undefined ? {} : { ref }),
      ...platform,
    };
    return sendProgress(reply, async (output) => void (await images.import(wanted, output, clientGone)));
  });
}

/** `linux/arm64`, since 1.32. */
function shortPlatform({ form, apiVersion }: FastifyRequest): { platform?: Platform } {
  const text = form.get("platform");
  return text === "" || isOlder(apiVersion, "1.32") ? {} : { platform: parsePlatform(text) };
}

/** `pull -a` of old clients sends a colon at the end; the tag may be a digest. */
function pulledReference(name: string, tag: string): Reference {
  const ref = parseReference(name.replace(/:$/, ""));
  if (tag === "") return ref;
  return checkDigest(tag) === undefined ? withDigest(trimReference(ref), tag) : withTag(ref, tag);
}
