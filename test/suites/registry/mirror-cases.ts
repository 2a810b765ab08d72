import { fail, type RogueRegistry } from "../../e2e/images/rogue.ts";
import { type Answer, rig, summary } from "./answers.ts";
import type { Case } from "./run.ts";
import type { Stage } from "./stage.ts";

/** Both engines have `http://127.0.0.1:6001` and `:6002` as mirrors of Docker Hub: cases take turns at the ports. */
const ports = [6001, 6002] as const;

/** The first mirror misbehaves, the second has the image. */
const first =
  (part: Parameters<typeof rig>[2], answer: Answer, name = ":1") =>
  async (stage: Stage) => {
    const [bad, good] = [await stage.registry({}, ports[0]), await stage.registry({}, ports[1])];
    const contents = [stage.content("a"), stage.content("b")];
    const image = bad.addImage("1", contents);
    good.addImage("1", contents);
    rig(bad, image, part, answer);
    const full = `${stage.word}${name === "@" ? `@${image.manifest}` : name}`;
    const seen = await stage.pull(
      full,
      {},
      { "X-Registry-Auth": Buffer.from('{"username":"u","password":"p"}').toString("base64") },
    );
    const authorized = [...bad.requests, ...good.requests].some(({ authorization }) => authorization !== "");
    return { seen, bad: used(bad), good: used(good), authorized, id: await stage.id(full) };
  };
const used = (registry: RogueRegistry) => Object.keys(summary(registry)).map((line) => line.split(" ")[0]);

const status =
  (code: number): Answer =>
  (_, response) =>
    void response.writeHead(code).end();
const listed =
  (code: number, word: string): Answer =>
  (_, response) =>
    void fail(response, code, word, "words");

export const mirrorCases: readonly Case[] = [
  ["mirror both good", first("all", () => false)],
  ...(["ping", "manifest", "config", "layer"] as const).flatMap((part): Case[] => [
    [`mirror ${part} 404`, first(part, status(404))],
    [`mirror ${part} 401`, first(part, status(401))],
    [`mirror ${part} 500`, first(part, status(500))],
    [`mirror ${part} DENIED`, first(part, listed(403, "DENIED"))],
    [`mirror ${part} TOOMANYREQUESTS`, first(part, listed(429, "TOOMANYREQUESTS"))],
  ]),
  ["mirror ping cut", first("ping", (request) => void request.socket.destroy())],
  ["mirror manifest cut", first("manifest", (request) => void request.socket.destroy())],
  ["mirror layer wrong bytes", first("layer", (_, response) => void response.end("wrong"))],
  ["mirror config wrong bytes", first("config", (_, response) => void response.end("wrong"))],
  [
    "mirror by digest, wrong bytes",
    first(
      "get",
      (_, response) =>
        void response
          .writeHead(200, { "content-type": "application/vnd.docker.distribution.manifest.v2+json" })
          .end('{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json"}'),
      "@",
    ),
  ],
  [
    "mirror manifest unknown type",
    first("manifest", (_, response) => void response.writeHead(200, { "content-type": "text/html" }).end("<html>")),
  ],
  [
    "mirror challenge basic",
    first("all", (request, response) => {
      if (request.headers.authorization !== undefined) return false;
      response.setHeader("www-authenticate", 'Basic realm="r"');
      fail(response, 401, "UNAUTHORIZED", "no");
      return true;
    }),
  ],
];
