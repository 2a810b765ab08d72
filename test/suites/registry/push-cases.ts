import type { IncomingMessage, ServerResponse } from "node:http";
import { digestOf, type RogueRegistry, tarOf } from "../../e2e/images/rogue.ts";
import { type Answer, cut, listed, status } from "./answers.ts";
import type { Case } from "./run.ts";
import type { Seen, Stage } from "./stage.ts";

type Part = "ping" | "start" | "patch" | "put" | "head" | "manifest" | "mount" | "cancel";

const isPart: Readonly<Record<Part, (method: string, url: string) => boolean>> = {
  ping: (_, url) => url === "/v2/",
  start: (method, url) => method === "POST" && !url.includes("mount="),
  mount: (method, url) => method === "POST" && url.includes("mount="),
  patch: (method) => method === "PATCH",
  put: (method, url) => method === "PUT" && url.includes("/blobs/"),
  head: (method, url) => method === "HEAD" && url.includes("/blobs/"),
  cancel: (method) => method === "DELETE",
  manifest: (method, url) => method === "PUT" && url.includes("/manifests/"),
};

/** What is compressed anew has digests of its own. */
const anonymous = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value)
      .replace(/sha256(:|%3A)[0-9a-f]{64}/g, "DIGEST")
      .replace(/size: \d+/g, "size: N")
      .replace(/\\"Size\\":\d+/g, '\\"Size\\":0'),
  );

function twist(part: Part, answer: Answer, size = 0): (stage: Stage) => Promise<unknown> {
  return async (stage) => {
    const target = await stage.registry();
    await stage.import(`${target.address}/${stage.word}:2`, tarOf("file", stage.content("a", size)));
    let count = 0;
    target.hook = (request, response) =>
      isPart[part](request.method ?? "", request.url ?? "") && answer(request, response, ++count) !== false;
    return outcome(await stage.push(`${target.address}/${stage.word}:2`), target);
  };
}

function outcome(seen: Seen, target: RogueRegistry): unknown {
  return anonymous({ seen, manifests: target.tags, blobs: target.blobs.size });
}

const refused = (code: number, word: string, message = "words") => listed(code, { code: word, message, detail: {} });
const once =
  (answer: Answer): Answer =>
  (request, response, number) =>
    number === 1 ? answer(request, response, 1) : false;

const parts = ["ping", "start", "patch", "put", "head", "manifest"] as const;
const statuses: Case[] = parts.flatMap((part) =>
  [200, 204, 307, 400, 401, 403, 404, 405, 413, 416, 429, 500, 503].map(
    (code): Case => [`push ${part} ${code}`, twist(part, status(code))],
  ),
);
const codes: Case[] = (["start", "patch", "put", "manifest"] as const).flatMap((part) =>
  [
    [401, "UNAUTHORIZED"],
    [403, "DENIED"],
    [400, "DIGEST_INVALID"],
    [404, "NAME_UNKNOWN"],
    [404, "BLOB_UPLOAD_UNKNOWN"],
    [400, "TAG_INVALID"],
    [400, "MANIFEST_INVALID"],
    [400, "UNSUPPORTED"],
    [429, "TOOMANYREQUESTS"],
  ].map(([code, word]): Case => [`push ${part} ${word}`, twist(part, refused(Number(code), String(word)))]),
);

const hiccups: Case[] = parts
  .filter((part) => part !== "head")
  .flatMap((part): Case[] => [
    [`push ${part} cut once`, twist(part, once(cut))],
    [`push ${part} 503 once`, twist(part, once(status(503)))],
    [`push ${part} 429 once with retry-after`, twist(part, once(status(429, { "retry-after": "1" })))],
    [`push ${part} cut`, twist(part, cut)],
  ]);

const at = (response: ServerResponse, location: string, code = 202, more: Record<string, string> = {}) =>
  void response.writeHead(code, { location, range: "0-0", ...more }).end();
const located: Case[] = [
  ["push start location absolute", moved((own, _, url) => `http://${own.address}${url}`)],
  ["push start location relative", moved((_, __, url) => url)],
  ["push start location with query", moved((_, __, url) => `${url}?state=a%2Fb&x=1`)],
  ["push start location on another host", moved((_, other, url) => `http://${other.address}${url}`)],
  ["push start location broken", moved(() => "http://[::1")],
  ["push start location ftp", moved(() => "ftp://127.0.0.1/x")],
  ["push start location none", twist("start", status(202))],
  [
    "push patch location none",
    twist("patch", (request, response) => drained(request, () => void response.writeHead(202, { range: "0-5" }).end())),
  ],
  [
    "push patch range none",
    twist("patch", (request, response) =>
      drained(request, () => void response.writeHead(202, { location: request.url ?? "" }).end()),
    ),
  ],
  [
    "push patch range broken",
    twist("patch", (request, response) =>
      drained(request, () => void response.writeHead(202, { location: request.url ?? "", range: "abc" }).end()),
    ),
  ],
  [
    "push patch range backwards",
    twist("patch", (request, response) =>
      drained(request, () => void response.writeHead(202, { location: request.url ?? "", range: "9-1" }).end()),
    ),
  ],
  [
    "push patch refused half-way",
    twist(
      "patch",
      (request, response) => void request.once("data", () => status(500)(request, response, 1)),
      3_000_000,
    ),
  ],
  [
    "push patch denied half-way",
    twist(
      "patch",
      (request, response) => void request.once("data", () => refused(403, "DENIED", "enough")(request, response, 1)),
      3_000_000,
    ),
  ],
  [
    "push patch cut half-way",
    twist("patch", (request) => void request.once("data", () => request.socket.destroy()), 3_000_000),
  ],
  [
    "push patch cut half-way once",
    twist(
      "patch",
      once((request) => void request.once("data", () => request.socket.destroy())),
      3_000_000,
    ),
  ],
  [
    "push head 404 after the put",
    twist("head", (_, response, number) => (number >= 3 ? status(404)(_, response, 1) : false)),
  ],
  [
    "push head without length",
    twist("head", (request) => void request.socket.end("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")),
  ],
  [
    "push put wrong digest in the answer",
    twist("put", (request, response) =>
      drained(request, () => at(response, "/", 201, { "docker-content-digest": digestOf("x") })),
    ),
  ],
  ["push manifest no digest in the answer", twist("manifest", status(201))],
  [
    "push manifest wrong digest in the answer",
    twist("manifest", status(201, { "docker-content-digest": digestOf("x") })),
  ],
  ["push manifest 202", twist("manifest", status(202, { "docker-content-digest": digestOf("x") }))],
];

function drained(request: IncomingMessage, then: () => void): void {
  request.on("data", () => undefined).on("end", then);
}

/** Uploads begin elsewhere; the bytes end up here all the same. */
function moved(
  location: (own: RogueRegistry, other: RogueRegistry, url: string) => string,
): (stage: Stage) => Promise<unknown> {
  return async (stage) => {
    const source = await stage.registry();
    const target = await stage.registry();
    const other = await stage.registry();
    source.addImage("1", [stage.content("a")]);
    await stage.pull(`${source.address}/${stage.word}:1`);
    await stage.tag(`${source.address}/${stage.word}:1`, `${target.address}/${stage.word}:2`);
    let begun = 0;
    target.hook = (request, response) => {
      if (request.method !== "POST") return false;
      const id = `upload${++begun}`;
      for (const one of [target, other]) one.uploads.set(id, Buffer.alloc(0));
      at(response, location(target, other, `${request.url}${id}`));
      return true;
    };
    const seen = await stage.push(`${target.address}/${stage.word}:2`);
    const queries = target.requests
      .filter(({ line }) => line.startsWith("PUT") && line.includes("blobs"))
      .map(({ line }) => line.replace(/upload\d+/, "ID"));
    return anonymous({
      seen,
      manifests: target.tags,
      queries: [...new Set(queries)],
      other: other.requests.length > 0,
    });
  };
}

/** The layer is in a sister repository of the registry. */
function mounting(answer: Answer | undefined, size = 0): (stage: Stage) => Promise<unknown> {
  return async (stage) => {
    const registry = await stage.registry();
    registry.addImage("1", [stage.content("a", size)]);
    await stage.pull(`${registry.address}/${stage.word}:1`);
    await stage.tag(`${registry.address}/${stage.word}:1`, `${registry.address}/other/${stage.word}:2`);
    const layers = new Set([...registry.blobs.keys()]);
    registry.hook = (request, response) => {
      const { method = "", url = "" } = request;
      // It has the blobs of the one repository, not of the other.
      if (
        method === "HEAD" &&
        url.includes("other/") &&
        [...layers].some((digest) => url.endsWith(digest)) &&
        !registry.requests.some(({ line }) => line.includes("mount="))
      )
        return status(404)(request, response, 1) === undefined;
      return isPart.mount(method, url) && answer !== undefined && answer(request, response, 1) !== false;
    };
    const seen = await stage.push(`${registry.address}/other/${stage.word}:2`);
    return anonymous({
      seen,
      mounts: registry.requests.filter(({ line }) => line.includes("mount=")).map(({ line }) => line),
      manifests: registry.tags,
    });
  };
}

const mounts: Case[] = [
  ["push mount", mounting(undefined)],
  ["push mount of a large layer", mounting(undefined, 200_000)],
  ["push mount 202", mounting((request, response) => at(response, `${request.url?.split("?")[0]}none`))],
  ["push mount 404", mounting(status(404))],
  ["push mount 401", mounting(refused(401, "UNAUTHORIZED", "no"))],
  ["push mount 403", mounting(refused(403, "DENIED", "no"))],
  ["push mount 405", mounting(status(405))],
  ["push mount 500", mounting(status(500))],
  ["push mount cut", mounting(cut)],
];

const others: Case[] = [
  [
    "push again",
    async (stage) => {
      const source = await stage.registry();
      const target = await stage.registry();
      source.addImage("1", [stage.content("a"), stage.content("b")]);
      await stage.pull(`${source.address}/${stage.word}:1`);
      await stage.tag(`${source.address}/${stage.word}:1`, `${target.address}/${stage.word}:2`);
      const first = await stage.push(`${target.address}/${stage.word}:2`);
      const before = target.requests.length;
      const second = await stage.push(`${target.address}/${stage.word}:2`);
      return anonymous({
        first,
        second,
        requests: target.requests
          .slice(before)
          .map(({ line }) => line.split(" ")[0])
          .sort(),
      });
    },
  ],
  [
    "push all tags",
    async (stage) => {
      const source = await stage.registry();
      const target = await stage.registry();
      for (const tag of ["c", "a", "b"]) {
        source.addImage(tag, [stage.content("base"), stage.content(tag)]);
        await stage.pull(`${source.address}/${stage.word}:${tag}`);
        await stage.tag(`${source.address}/${stage.word}:${tag}`, `${target.address}/${stage.word}:${tag}`);
      }
      return outcome(await stage.push(`${target.address}/${stage.word}`), target);
    },
  ],
  [
    "push twins",
    async (stage) => {
      const source = await stage.registry();
      const target = await stage.registry();
      source.addImage("1", [stage.content("same"), stage.content("same")]);
      await stage.pull(`${source.address}/${stage.word}:1`);
      await stage.tag(`${source.address}/${stage.word}:1`, `${target.address}/${stage.word}:2`);
      return outcome(await stage.push(`${target.address}/${stage.word}:2`), target);
    },
  ],
  ["push unknown repository", async (stage) => stage.push(`127.0.0.1:1/${stage.word}:1`)],
  [
    "push unknown tag",
    async (stage) => {
      const source = await stage.registry();
      source.addImage("1", [stage.content("a")]);
      await stage.pull(`${source.address}/${stage.word}:1`);
      return stage.push(`${source.address}/${stage.word}:2`);
    },
  ],
  [
    "push by digest",
    async (stage) => {
      const source = await stage.registry();
      const { manifest } = source.addImage("1", [stage.content("a")]);
      await stage.pull(`${source.address}/${stage.word}:1`);
      return stage.seen("POST", `/images/${source.address}/${stage.word}@${manifest}/push`, {
        "X-Registry-Auth": "e30",
      });
    },
  ],
  [
    "push what has only a digest",
    async (stage) => {
      const source = await stage.registry();
      const { manifest } = source.addImage("1", [stage.content("a")]);
      await stage.pull(`${source.address}/${stage.word}@${manifest}`);
      return stage.push(`${source.address}/${stage.word}`);
    },
  ],
  [
    "push nobody listens",
    async (stage) => {
      const source = await stage.registry();
      source.addImage("1", [stage.content("a")]);
      await stage.pull(`${source.address}/${stage.word}:1`);
      await stage.tag(`${source.address}/${stage.word}:1`, `127.0.0.1:1/${stage.word}:2`);
      return stage.push(`127.0.0.1:1/${stage.word}:2`);
    },
  ],
  ...[undefined, "", "!!!", "e30", "bnVsbA", "e30=", "W10", "ew"].map(
    (header): Case => [
      `push with X-Registry-Auth ${header}`,
      async (stage) => {
        const source = await stage.registry();
        source.addImage("1", [stage.content("a")]);
        await stage.pull(`${source.address}/${stage.word}:1`);
        const reply = await stage.http.send("POST", `/images/${source.address}/${stage.word}/push?tag=1`, {
          headers: header === undefined ? {} : { "X-Registry-Auth": header },
        });
        return anonymous([reply.status, reply.text.slice(0, 300).replaceAll(stage.word, "W").split("\n")[0]]);
      },
    ],
  ),
  [
    "push bad names",
    async (stage) =>
      Promise.all(
        ["UPPER/x:1", "x:", "x:a b", "-x", "a//b", "x:1?platform=linux", "127.0.0.1:99999/x:1"].map((name) =>
          stage.http
            .send("POST", `/images/${encodeURI(name)}/push`, { headers: { "X-Registry-Auth": "e30" } })
            .then((reply) => [name, reply.status, reply.text]),
        ),
      ),
  ],
  [
    "push with a platform",
    async (stage) => {
      const source = await stage.registry();
      source.addImage("1", [stage.content("a")]);
      await stage.pull(`${source.address}/${stage.word}:1`);
      const tries = [
        '{"os":"linux","architecture":"amd64"}',
        '{"os":"linux","architecture":"arm64"}',
        "linux/amd64",
        "{}",
      ];
      return Promise.all(
        tries.map(async (platform) =>
          anonymous(
            await stage.seen(
              "POST",
              `/images/${source.address}/${stage.word}/push?${new URLSearchParams({ tag: "1", platform })}`,
              { "X-Registry-Auth": "e30" },
            ),
          ),
        ),
      );
    },
  ],
];

export const pushCases: readonly Case[] = [...statuses, ...codes, ...hiccups, ...located, ...mounts, ...others];
