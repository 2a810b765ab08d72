import type { FastifyInstance } from "fastify";
import { SystemInfo } from "#api-schema/system";
import { infoFor } from "#api-schema/versions";
import type { Engine } from "#engine";
import { encode, encodePlain } from "../../encode.ts";
import { sendJsonText } from "../../reply.ts";

export function infoRoute(app: FastifyInstance, { system }: Engine): void {
  app.get("/info", async (request, reply) => {
    const { info, fields, registryFields } = infoFor(request.apiVersion, await system.info());
    // moby's marshaller of this one is json.Marshal, which escapes what HTML would read.
    const text = encode(SystemInfo, info, { escapeHtml: true });
    return sendJsonText(reply, Object.keys(fields).length === 0 ? text : withFields(text, fields, registryFields));
  });
}

/** moby adds what older versions had by way of a map, so all keys come out sorted. */
function withFields(text: string, fields: object, registryFields: object): string {
  const info = asRecord(JSON.parse(text));
  const registry = { ...asRecord(info.RegistryConfig), ...registryFields };
  return encodePlain(sorted({ ...info, ...fields, RegistryConfig: registry }), { escapeHtml: true });
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(fields.map(([key, field]) => [key, sorted(field)]));
}

const asRecord = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? { ...value } : {};
