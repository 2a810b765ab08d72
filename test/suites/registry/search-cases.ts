import { fail } from "../../e2e/images/rogue.ts";
import type { Case } from "./run.ts";
import type { Stage } from "./stage.ts";

/** The v1 search of a registry of one's own. */
const searched =
  (answer: { body?: string; status?: number; type?: string; ping?: number }, query: Record<string, string> = {}) =>
  async (stage: Stage) => {
    const registry = await stage.registry();
    registry.hook = (request, response) => {
      if (request.url === "/v1/_ping") response.writeHead(answer.ping ?? 200).end("true");
      else if (request.url?.startsWith("/v1/search"))
        response
          .writeHead(answer.status ?? 200, { "content-type": answer.type ?? "application/json" })
          .end(answer.body ?? "");
      else fail(response, 404, "NAME_UNKNOWN", "no");
      return true;
    };
    const reply = await stage.http.get(
      `/images/search?${new URLSearchParams({ term: `${registry.address}/word`, ...query })}`,
    );
    return [reply.status, reply.text, registry.requests.map(({ line, authorization }) => [line, authorization])];
  };
const found = JSON.stringify({
  num_results: 3,
  query: "word",
  results: [
    { name: "a/word", description: "one <b>", star_count: 3, is_official: true, is_trusted: true, is_automated: true },
    { name: "word", star_count: 30 },
    { name: "z", description: null, star_count: 0, extra: 1 },
  ],
});
const search: Case[] = [
  ["image search", searched({ body: found })],
  ["image search limit 1", searched({ body: found }, { limit: "1" })],
  ["image search limit 0", searched({ body: found }, { limit: "0" })],
  ["image search limit 101", searched({ body: found }, { limit: "101" })],
  ["image search limit -1", searched({ body: found }, { limit: "-1" })],
  ["image search limit x", searched({ body: found }, { limit: "x" })],
  ["image search stars 3", searched({ body: found }, { filters: '{"stars":["3"]}' })],
  ["image search stars x", searched({ body: found }, { filters: '{"stars":["x"]}' })],
  ["image search stars twice", searched({ body: found }, { filters: '{"stars":["3","30"]}' })],
  ["image search official", searched({ body: found }, { filters: '{"is-official":["true"]}' })],
  ["image search not official", searched({ body: found }, { filters: '{"is-official":["false"]}' })],
  ["image search official both", searched({ body: found }, { filters: '{"is-official":["true","false"]}' })],
  ["image search official x", searched({ body: found }, { filters: '{"is-official":["x"]}' })],
  ["image search automated", searched({ body: found }, { filters: '{"is-automated":["true"]}' })],
  ["image search not automated", searched({ body: found }, { filters: '{"is-automated":["false"]}' })],
  ["image search unknown filter", searched({ body: found }, { filters: '{"x":["true"]}' })],
  ["image search 500", searched({ status: 500 })],
  ["image search 404", searched({ status: 404 })],
  ["image search not json", searched({ body: "no" })],
  ["image search empty", searched({ body: "" })],
  ["image search null", searched({ body: "null" })],
  ["image search results null", searched({ body: '{"results":null}' })],
  ["image search text", searched({ body: found, type: "text/plain" })],
  ["image search ping 404", searched({ body: found, ping: 404 })],
  ["image search scheme", async (stage) => stage.json("/images/search?term=http://x/y")],
  ["image search no term", async (stage) => stage.json("/images/search")],
  ["image search nobody", async (stage) => stage.json("/images/search?term=127.0.0.1:1/x")],
];

export const searchCases: readonly Case[] = search;
