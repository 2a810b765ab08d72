import type { ServerResponse } from "node:http";
import type { RogueRegistry } from "../../e2e/images/rogue.ts";
import { type Part, rig, status, summary, twist } from "./answers.ts";
import type { Case } from "./run.ts";
import type { Stage } from "./stage.ts";

/** A first answer that breaks after some bytes; then `second`. */
const resumed =
  (second: (blob: Buffer, range: string, response: ServerResponse) => void): ((stage: Stage) => Promise<unknown>) =>
  async (stage) => {
    const registry = await stage.registry();
    const image = registry.addImage("1", [stage.content("a", 300_000), stage.content("b")]);
    rig(registry, image, "layer", (request, response, count) => {
      const blob = registry.blobs.get(image.layers[0] ?? "") ?? Buffer.alloc(0);
      if (count === 1) {
        response.writeHead(200, { "content-length": blob.length });
        return void response.write(blob.subarray(0, 100_000), () => setTimeout(() => request.socket.destroy(), 200));
      }
      return second(blob, request.headers.range ?? "", response);
    });
    const seen = await stage.pull(`${registry.address}/${stage.word}:1`);
    const ranges = registry.requests.map(({ range }) => range).filter((range) => range !== "");
    return { seen, ranges: ranges.length, requests: summary(registry) };
  };
const from = (range: string) => Number(/\d+/.exec(range)?.[0] ?? 0);
const resume: Case[] = [
  [
    "pull resume",
    resumed(
      (blob, range, response) =>
        void response
          .writeHead(206, {
            "content-length": blob.length - from(range),
            "content-range": `bytes ${from(range)}-${blob.length - 1}/${blob.length}`,
          })
          .end(blob.subarray(from(range))),
    ),
  ],
  [
    "pull resume ignored",
    resumed((blob, _, response) => void response.writeHead(200, { "content-length": blob.length }).end(blob)),
  ],
  [
    "pull resume 416",
    resumed(
      (blob, range, response) =>
        void (range === ""
          ? response.writeHead(200, { "content-length": blob.length }).end(blob)
          : response.writeHead(416).end()),
    ),
  ],
  [
    "pull resume other start",
    resumed(
      (blob, range, response) =>
        void (range === ""
          ? response.writeHead(200, { "content-length": blob.length }).end(blob)
          : response
              .writeHead(206, {
                "content-length": blob.length,
                "content-range": `bytes 0-${blob.length - 1}/${blob.length}`,
              })
              .end(blob)),
    ),
  ],
  [
    "pull resume no content-range",
    resumed(
      (blob, range, response) =>
        void (range === ""
          ? response.writeHead(200, { "content-length": blob.length }).end(blob)
          : response.writeHead(206, { "content-length": blob.length - from(range) }).end(blob.subarray(from(range)))),
    ),
  ],
  [
    "pull resume unknown size",
    resumed(
      (blob, range, response) =>
        void response
          .writeHead(206, {
            "content-length": blob.length - from(range),
            "content-range": `bytes ${from(range)}-${blob.length - 1}/*`,
          })
          .end(blob.subarray(from(range))),
    ),
  ],
  [
    "pull resume wrong rest",
    resumed(
      (blob, range, response) =>
        void (range === ""
          ? response.writeHead(200, { "content-length": blob.length }).end(blob)
          : response
              .writeHead(206, {
                "content-length": blob.length - from(range),
                "content-range": `bytes ${from(range)}-${blob.length - 1}/${blob.length}`,
              })
              .end(Buffer.alloc(blob.length - from(range)))),
    ),
  ],
  [
    "pull resume 503 then",
    resumed(
      (() => {
        let n = 0;
        return (blob: Buffer, range: string, response: ServerResponse) =>
          void (n++ < 2
            ? response.writeHead(503).end()
            : response
                .writeHead(206, {
                  "content-length": blob.length - from(range),
                  "content-range": `bytes ${from(range)}-${blob.length - 1}/${blob.length}`,
                })
                .end(blob.subarray(from(range))));
      })(),
    ),
  ],
];

/** `part` is redirected to a second registry that has the same. */
const redirected =
  (
    part: Part,
    code: number,
    target: (stage: Stage, own: RogueRegistry, other: RogueRegistry, url: string) => string,
  ): ((stage: Stage) => Promise<unknown>) =>
  async (stage) => {
    const registry = await stage.registry();
    const other = await stage.registry();
    const image = registry.addImage("1", [stage.content("a"), stage.content("b")]);
    for (const [digest, blob] of registry.blobs) other.blobs.set(digest, blob);
    for (const [key, manifest] of registry.manifests) other.manifests.set(key, manifest);
    rig(registry, image, part, (request, response) => {
      const { url = "" } = request;
      if (url.includes("hop")) return false;
      response.writeHead(code, { location: target(stage, registry, other, url) }).end();
      return true;
    });
    const seen = await stage.pull(`${registry.address}/${stage.word}:1`);
    return { seen, own: summary(registry), other: summary(other) };
  };
const redirects: Case[] = (["ping", "manifest", "config", "layer"] as const).flatMap((part): Case[] => [
  ...[301, 302, 303, 307, 308].map(
    (code): Case => [
      `pull ${part} redirect ${code} to another host`,
      redirected(part, code, (_, __, other, url) => `http://${other.address}${url}`),
    ],
  ),
  [`pull ${part} redirect loop`, redirected(part, 302, (_, own, __, url) => `http://${own.address}${url}`)],
  [`pull ${part} redirect relative`, redirected(part, 302, (_, __, ___, url) => `${url}?hop=1`)],
  [`pull ${part} redirect nowhere`, redirected(part, 302, () => "http://127.0.0.1:1/x")],
  [
    `pull ${part} redirect to https that is not`,
    redirected(part, 302, (_, __, other, url) => `https://${other.address}${url}`),
  ],
  [`pull ${part} redirect to ftp`, redirected(part, 302, () => "ftp://127.0.0.1/x")],
  [`pull ${part} redirect to file`, redirected(part, 302, () => "file:///etc/passwd")],
  [`pull ${part} redirect to a broken url`, redirected(part, 302, () => "http://[::1")],
  [`pull ${part} 300`, redirected(part, 300, (_, __, other, url) => `http://${other.address}${url}`)],
  [`pull ${part} 304`, redirected(part, 304, () => "")],
]);
const withoutLocation: Case[] = (["manifest", "layer"] as const).map(
  (part): Case => [`pull ${part} 307 without location`, twist(part, status(307))],
);

export const resumeCases: readonly Case[] = [...resume, ...redirects, ...withoutLocation];
