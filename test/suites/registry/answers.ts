import type { IncomingMessage, ServerResponse } from "node:http";
import type { RogueImage, RogueRegistry } from "../../e2e/images/rogue.ts";
import type { Stage } from "./stage.ts";

/** Answers a request in the registry's stead, or leaves it: false. */
export type Answer = (request: IncomingMessage, response: ServerResponse, count: number) => unknown;

/** One image of two layers; `part` is answered by `answer` in the registry's stead. */
export function twist(part: Part, answer: Answer): (stage: Stage) => Promise<unknown> {
  return async (stage) => {
    const registry = await stage.registry();
    const image = registry.addImage("1", [stage.content("a"), stage.content("b")]);
    rig(registry, image, part, answer);
    const seen = await stage.pull(`${registry.address}/${stage.word}:1`);
    return { seen, requests: summary(registry), id: await stage.id(`${registry.address}/${stage.word}:1`) };
  };
}

export type Part = "ping" | "manifest" | "head" | "get" | "config" | "layer" | "all";
export function rig(registry: RogueRegistry, image: RogueImage, part: Part, answer: Answer): void {
  let count = 0;
  registry.hook = (request, response) => {
    const { url = "", method } = request;
    const isManifest = url.includes("/manifests/");
    const isHit = {
      ping: url === "/v2/",
      manifest: isManifest,
      head: isManifest && method === "HEAD",
      get: isManifest && method === "GET",
      config: url.endsWith(image.configDigest),
      layer: url.endsWith(image.layers[0] ?? "none"),
      all: true,
    }[part];
    return isHit && answer(request, response, ++count) !== false;
  };
}

/** The lines of what was asked, how often each. */
export function summary(registry: RogueRegistry): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { line } of registry.requests) if (!/GET .*blobs/.test(line)) counts[line] = (counts[line] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export const status =
  (code: number, headers: Record<string, string> = {}, body = ""): Answer =>
  (_, response) =>
    void response.writeHead(code, headers).end(body);
export const json = { "content-type": "application/json" };
export const listed = (code: number, ...errors: object[]): Answer => status(code, json, JSON.stringify({ errors }));

export const cut: Answer = (request) => void request.socket.destroy();
