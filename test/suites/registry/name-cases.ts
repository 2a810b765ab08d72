import { digestOf, type RogueImage, type RogueRegistry, types } from "../../e2e/images/rogue.ts";
import { at, indexed } from "./index-cases.ts";
import type { Case } from "./run.ts";
import type { Stage } from "./stage.ts";

const names: Case[] = [
  [
    "image names",
    async (stage) => {
      const tries: readonly Record<string, string>[] = [
        { fromImage: "UPPER" },
        { fromImage: "a", tag: "b c" },
        { fromImage: "a:b:c" },
        { fromImage: "scratch" },
        { fromImage: "docker.io/library/scratch" },
        { fromImage: "a".repeat(300) },
        { fromImage: "a".repeat(64) },
        { fromImage: "0".repeat(64) },
        { fromImage: `a@sha256:${"0".repeat(63)}` },
        { fromImage: "127.0.0.1:1/x", tag: `sha256:${"0".repeat(64)}` },
        { fromImage: "127.0.0.1:1/x:y", tag: "z" },
        { fromImage: "127.0.0.1:99999/x", tag: "y" },
        { fromImage: "[::1]:1/x", tag: "y" },
        { fromImage: "[::1/x", tag: "y" },
        { fromImage: "x", platform: "linux/amd64/v1/x" },
        { fromImage: "x", platform: "*" },
        { fromImage: "x", platform: "odd" },
        { fromImage: "http://127.0.0.1:1/x" },
        { fromImage: "-x" },
        { fromImage: "127.0.0.1:1/" },
        { fromImage: "127.0.0.1:1/x", tag: "sha256:0" },
        { fromImage: "127.0.0.1:1/x:" },
      ];
      return Promise.all(
        tries.map(async ({ fromImage = "", ...query }) => [fromImage, query, await stage.pull(fromImage, query)]),
      );
    },
  ],
  [
    "image distribution names",
    async (stage) =>
      Promise.all(
        [
          "UPPER",
          "scratch",
          "0".repeat(64),
          "127.0.0.1:1/x",
          `127.0.0.1:1/x@sha256:${"0".repeat(64)}`,
          "[::1]:1/x",
          "a".repeat(300),
          "x:a%20b",
          `127.0.0.1:1/x:y@sha256:${"0".repeat(64)}`,
        ].map(async (name) => [name, await stage.json(`/distribution/${name}/json`)]),
      ),
  ],
];

const digests: Case[] = [
  ["image by digest", (stage) => byDigest(stage, (name, { manifest }) => `${name}@${manifest}`)],
  ["image by tag and digest", (stage) => byDigest(stage, (name, { manifest }) => `${name}:1@${manifest}`)],
  ["image by another tag and digest", (stage) => byDigest(stage, (name, { manifest }) => `${name}:none@${manifest}`)],
  ["image by unknown digest", (stage) => byDigest(stage, (name) => `${name}@${digestOf("none")}`)],
  [
    "image by the digest of its config",
    (stage) => byDigest(stage, (name, { configDigest }) => `${name}@${configDigest}`),
  ],
  ["image by sha512", (stage) => byDigest(stage, (name) => `${name}@sha512:${"0".repeat(128)}`)],
  ["image by md5", (stage) => byDigest(stage, (name) => `${name}@md5:${"0".repeat(32)}`)],
  [
    "image by digest of an index",
    async (stage) => {
      const registry = await stage.registry();
      indexed(stage, registry, [
        [at("amd64"), "a"],
        [at("arm64"), "b"],
      ]);
      const digest = [...registry.manifests].filter(
        ([key, { type }]) => key.startsWith("sha256") && type === types.index,
      )[0]?.[0];
      const name = `${registry.address}/${stage.word}`;
      const first = await stage.pull(`${name}@${digest}`);
      return {
        first,
        again: await stage.pull(`${name}@${digest}`),
        tag: await stage.pull(`${name}:multi`),
        id: await stage.id(`${name}@${digest}`),
        digests:
          (
            (await stage.json(`/images/${name}:multi/json`)) as [number, { RepoDigests: string[]; RepoTags: string[] }]
          )[1] && "",
      };
    },
  ],
];
async function byDigest(stage: Stage, nameOf: (name: string, image: RogueImage) => string) {
  const registry = await stage.registry();
  const made = registry.addImage("1", [stage.content("a")]);
  const name = nameOf(`${registry.address}/${stage.word}`, made);
  const seen = await stage.pull(name);
  const [, inspected] = await stage.json(`/images/${name}/json`);
  const { Id, RepoTags, RepoDigests, message } = inspected as Record<string, unknown>;
  return {
    seen,
    again: await stage.pull(name),
    look: await stage.json(`/distribution/${name}/json`),
    Id,
    RepoTags,
    RepoDigests,
    message,
  };
}

/** `pull -a` from a registry that lists its tags as told. */
const allTags =
  (
    tags: (registry: RogueRegistry, url: string) => { body: string; link?: string; status?: number },
    make: (stage: Stage, registry: RogueRegistry) => void = () => undefined,
  ) =>
  async (stage: Stage) => {
    const registry = await stage.registry();
    for (const tag of ["c", "a", "b"]) registry.addImage(tag, [stage.content("base"), stage.content(tag)]);
    make(stage, registry);
    registry.hook = (request, response) => {
      const { url = "" } = request;
      if (!url.includes("/tags/list")) return false;
      const { body, link, status = 200 } = tags(registry, url);
      response
        .writeHead(status, { "content-type": "application/json", ...(link === undefined ? {} : { link }) })
        .end(body);
      return true;
    };
    const name = `${registry.address}/${stage.word}`;
    const seen = await stage.pull(name);
    return {
      seen,
      again: await stage.pull(name),
      lists: registry.requests.filter(({ line }) => line.includes("tags/list")).map(({ line }) => line),
    };
  };
const tagsOf = (...tags: string[]) => JSON.stringify({ name: "x", tags });
const all: Case[] = [
  ["image all tags", allTags(() => ({ body: tagsOf("c", "a", "b") }))],
  [
    "image all tags by pages",
    allTags((_, url) =>
      url.includes("last=a")
        ? { body: tagsOf("b") }
        : url.includes("last=c")
          ? { body: tagsOf("a"), link: `<${url.split("?")[0]}?n=1&last=a>; rel="next"` }
          : { body: tagsOf("c"), link: `<${url}?n=1&last=c>; rel="next"` },
    ),
  ],
  [
    "image all tags by absolute pages",
    allTags((registry, url) =>
      url.includes("last")
        ? { body: tagsOf("b") }
        : { body: tagsOf("c"), link: `<http://${registry.address}${url}?last=c>; rel="next"` },
    ),
  ],
  [
    "image all tags by relative pages",
    allTags((_, url) =>
      url.includes("last") ? { body: tagsOf("b") } : { body: tagsOf("c"), link: `<?last=c>; rel="next"` },
    ),
  ],
  ["image all tags with a broken link", allTags(() => ({ body: tagsOf("c"), link: "<http://[::1>" }))],
  ["image all tags none", allTags(() => ({ body: tagsOf() }))],
  ["image all tags null", allTags(() => ({ body: '{"tags":null}' }))],
  ["image all tags missing", allTags(() => ({ body: "{}" }))],
  ["image all tags a string", allTags(() => ({ body: '{"tags":"c"}' }))],
  ["image all tags numbers", allTags(() => ({ body: '{"tags":["c",5]}' }))],
  ["image all tags broken", allTags(() => ({ body: '{"tags":["c"' }))],
  ["image all tags invalid name", allTags(() => ({ body: tagsOf("c", "a b", "b") }))],
  ["image all tags unknown one", allTags(() => ({ body: tagsOf("c", "gone", "b") }))],
  ["image all tags twice", allTags(() => ({ body: tagsOf("c", "c") }))],
  [
    "image all tags 404",
    allTags(() => ({
      body: '{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry","detail":{"name":"x"}}]}',
      status: 404,
    })),
  ],
  [
    "image all tags 403",
    allTags(() => ({ body: '{"errors":[{"code":"DENIED","message":"no","detail":{}}]}', status: 403 })),
  ],
  ["image all tags 500", allTags(() => ({ body: "", status: 500 }))],
];

const again: Case[] = [
  [
    "image moved tag",
    async (stage) => {
      const registry = await stage.registry();
      const name = `${registry.address}/${stage.word}:1`;
      registry.addImage("1", [stage.content("old")]);
      const first = await stage.pull(name);
      registry.addImage("1", [stage.content("old"), stage.content("new")]);
      const second = await stage.pull(name);
      return { first, second, third: await stage.pull(name) };
    },
  ],
];

export const nameCases: readonly Case[] = [...names, ...digests, ...all, ...again];
