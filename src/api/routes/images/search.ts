import type { FastifyInstance } from "fastify";
import { SearchItems } from "#api-schema/image";
import { EngineError } from "#base/errors";
import { goQuote } from "#base/strconv";
import { type Engine, Filters } from "#engine";
import { sendJson } from "../../reply.ts";
import { accessOf } from "./access.ts";

export function searchRoute(app: FastifyInstance, { images }: Engine): void {
  app.get("/images/search", async (request, reply) => {
    const { form, clientGone } = request;
    const limit = parseLimit(form.get("limit"));
    // moby answers 200 with nothing to a negative limit, having lost its error on the way.
    if (limit < 0) return reply.send();
    const filters = Filters.parse(form.get("filters"));
    const search = { term: form.get("term"), limit, filters, access: accessOf(request) };
    return sendJson(reply, SearchItems, await images.search(search, clientGone));
  });
}

function parseLimit(text: string): number {
  const isNumber = text === "" || /^[+-]?\d+$/.test(text);
  if (isNumber && Number.isSafeInteger(Number(text))) return Number(text);
  const why = isNumber ? "value out of range" : "invalid syntax";
  throw new EngineError("invalidParameter", `invalid limit specified: strconv.Atoi: parsing ${goQuote(text)}: ${why}`);
}
