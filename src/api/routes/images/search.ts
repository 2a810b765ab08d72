import type { FastifyInstance } from "fastify";
import { SearchItems } from "#api-schema/image";
import { EngineError } from "#base/errors";
import { type Engine, Filters } from "#engine";
import { sendJson } from "../../reply.ts";
import { accessOf } from "./access.ts";

export function searchRoute(app: FastifyInstance, { images }: Engine): void {
  app.get("/images/search", async (request, reply) => {
    const { form, clientGone } = request;
    const filters = Filters.parse(form.get("filters"));
    const search = { term: form.get("term"), limit: parseLimit(form.get("limit")), filters, access: accessOf(request) };
    return sendJson(reply, SearchItems, await images.search(search, clientGone));
  });
}

function parseLimit(text: string): number {
  if (text === "" || /^\+?\d+$/.test(text)) return Number(text);
  const why = /^-\d+$/.test(text) ? "" : `: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`;
  throw new EngineError("invalidParameter", `invalid limit specified${why}`);
}
