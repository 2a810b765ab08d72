import type { FastifyRequest } from "fastify";
import type { Static, TSchema } from "#api-schema/go";
import { EngineError } from "#base/errors";
import { type Json, JsonEmptyError, JsonSyntaxError, parseJson } from "#base/json";
import { decode, JsonTypeError, type Root, zero } from "./decode.ts";
import { mediaTypeOf } from "./media-type.ts";
import { unreadBody } from "./upgrade.ts";
import { hasBody } from "./wire.ts";

/** dockerd reads any size; no body of ours needs a hundredth of this. */
const maxJsonBytes = 16 * 1024 * 1024;
type ParsedJson = ReturnType<typeof parseJson>;

const maxFormBytes = 10 * 1024 * 1024;
const methodsWithForms: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

/** The parameters that Go's Request.ParseForm finds in a body, whatever else the route makes of it. */
export async function readForm(request: FastifyRequest): Promise<string> {
  const { mediaType } = mediaTypeOf(request.headers["content-type"] ?? "");
  const isForm = mediaType === "application/x-www-form-urlencoded" && methodsWithForms.has(request.method);
  return isForm ? readText(request, maxFormBytes, "http: POST too large") : "";
}

/** httputils.ReadJSON: an empty body is the zero value. */
export async function readJson<T extends TSchema>(request: FastifyRequest, schema: T): Promise<Static<T>> {
  checkForJson(request);
  return hasNoBody(request) ? zero(schema) : decodeWhole(schema, await parseBody(request), "named");
}

/** As moby's container decoder reads: an empty body is an error. */
export async function requireJson<T extends TSchema>(
  request: FastifyRequest,
  schema: T,
): Promise<{ json: Json; value: Static<T> }> {
  checkForJson(request);
  const body = await parseBody(request);
  return { json: body.value, value: decodeWhole(schema, body, "unnamed") };
}

/** The same where there may be none. */
export async function readOptionalJson<T extends TSchema>(
  request: FastifyRequest,
  schema: T,
): Promise<Static<T> | undefined> {
  try {
    return (await requireJson(request, schema)).value;
  } catch (error) {
    if (error instanceof EngineError && error.cause instanceof JsonEmptyError) return undefined;
    throw error;
  }
}

/** Go's decoder looks at the value first, and then whether it was all. */
function decodeWhole<T extends TSchema>(schema: T, { value, hasMore }: ParsedJson, root: Root): Static<T> {
  const decoded = decodeJson(schema, value, root);
  if (hasMore) throw invalid("unexpected content after JSON");
  return decoded;
}

export function decodeJson<T extends TSchema>(schema: T, json: Json, root: Root = "unnamed"): Static<T> {
  try {
    return decode(schema, json, root);
  } catch (error) {
    if (error instanceof JsonTypeError) throw invalid(`invalid JSON: ${error.message}`, error);
    throw error;
  }
}

async function parseBody(request: FastifyRequest): Promise<ParsedJson> {
  const text = await readJsonText(request);
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof JsonEmptyError) throw invalid("invalid JSON: got EOF while reading request body", error);
    if (error instanceof JsonSyntaxError) throw invalid(`invalid JSON: ${error.message}`, error);
    throw error;
  }
}

export const readJsonText = (request: FastifyRequest): Promise<string> =>
  readText(request, maxJsonBytes, "http: request body too large");

async function readText(request: FastifyRequest, limitBytes: number, refusal: string): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of unreadBody(request.raw)) {
    sizeBytes += chunk.length;
    if (sizeBytes <= limitBytes) chunks.push(chunk);
  }
  // Only now: many clients listen when they have said everything.
  if (sizeBytes > limitBytes) throw invalid(refusal);
  return Buffer.concat(chunks).toString("utf8");
}

/** httputils.CheckForJSON: no Content-Type is fine as long as there is no body. */
function checkForJson(request: FastifyRequest): void {
  const header = request.headers["content-type"] ?? "";
  if (header === "" && hasNoBody(request)) return;
  const { mediaType, problem } = mediaTypeOf(header);
  if (problem !== undefined) throw invalid(`malformed Content-Type header (${header}): mime: ${problem}`);
  if (mediaType !== "application/json")
    throw invalid(`unsupported Content-Type header (${header}): must be 'application/json'`);
}

export const hasNoBody = (request: FastifyRequest): boolean => !hasBody(request.raw);

const invalid = (message: string, cause?: unknown): EngineError =>
  new EngineError("invalidParameter", message, { cause });
