import type { Static, TSchema } from "#api-schema/go";
import { zeroTime } from "#base/clock";
import { narrow } from "#base/exact-json";
import { isList, type Json, JsonNumber, JsonObject, toPlain } from "#base/json";
import { type GoStructField, type GoType, reflect } from "./reflect.ts";

/** A value of the wrong type. The text is encoding/json's, which clients see after `invalid JSON: `. */
export class JsonTypeError extends Error {}

/** How Go names the outermost value in a path: by its type, or not at all where it decodes into an interface. */
export type Root = "named" | "unnamed";

/**
 * Makes the Go value of a schema out of JSON: keys match in any case, what is absent is the zero value, unknown keys are
 * ignored, and what is there twice is decoded into what is there already. Throws JsonTypeError for the first value of a
 * wrong type.
 */
export function decode<T extends TSchema>(schema: T, json: Json, root: Root = "unnamed"): Static<T> {
  const type = reflect(schema);
  const path = { root: root === "named" ? type.name.replace(/^.*\./, "") : "", tokens: [] };
  // `build` follows the schema field by field, so what it returns is what the schema's type says.
  return build(type, json, path) as Static<T>;
}

/** Go's zero value of a schema: what a missing or null body stands for. */
export function zero<T extends TSchema>(schema: T): Static<T> {
  return zeroOf(reflect(schema)) as Static<T>;
}

/** Whether the body names any field of a schema: Go leaves an embedded pointer nil otherwise. */
export function mentions(schema: TSchema, json: Json): boolean {
  const type = reflect(schema);
  if (!(json instanceof JsonObject) || type.kind !== "struct") return false;
  return json.fields.some(([key]) => findField(type.fields, key) !== undefined);
}

interface Path {
  readonly root: string;
  readonly tokens: readonly (string | number)[];
}

const below = ({ root, tokens }: Path, token: string | number): Path => ({ root, tokens: [...tokens, token] });

/** Go leaves `before` as it is for a null, unless null is a value of the type. */
function build(type: GoType, json: Json, path: Path, before = zeroOf(type)): unknown {
  if (json === null) return zeroOf(type) === null ? null : before;
  switch (type.kind) {
    case "string":
      return typeof json === "string" ? json : wrongType(type, json, path);
    case "bool":
      return typeof json === "boolean" ? json : wrongType(type, json, path);
    case "integer":
      return buildInteger(type, json, path);
    case "float":
      return json instanceof JsonNumber ? Number(json.text) : wrongType(type, json, path);
    case "time":
      return buildTime(type, json, path);
    case "any":
      return toPlain(json);
    case "ptr":
      return build(type.item, json, path, before ?? undefined);
    case "slice":
    case "tuple":
      return buildList(type, json, path, before as readonly unknown[] | null);
    case "map":
      return { ...(before as object | null), ...buildMap(type, json, path) };
    case "strslice":
      return buildStrSlice(json);
    case "struct":
      return buildStruct(type, json, path, before as Record<string, unknown>);
    default:
      return type satisfies never;
  }
}

function buildInteger(type: Extract<GoType, { kind: "integer" }>, json: Json, path: Path): number | bigint {
  if (!(json instanceof JsonNumber)) return wrongType(type, json, path);
  const isWhole = /^-?[0-9]+$/.test(json.text);
  const value = isWhole ? BigInt(json.text) : undefined;
  if (value === undefined || value < type.min || value > type.max) return wrongType(type, json, path, ` ${json.text}`);
  return narrow(value);
}

function buildTime(type: GoType, json: Json, path: Path): string {
  if (typeof json !== "string") return wrongType(type, json, path);
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(json)) return json;
  throw new JsonTypeError(`parsing time ${JSON.stringify(json)} as "2006-01-02T15:04:05Z07:00": cannot parse`);
}

function buildList(
  type: Extract<GoType, { kind: "slice" | "tuple" }>,
  json: Json,
  path: Path,
  before: readonly unknown[] | null,
): unknown[] {
  if (!isList(json)) return wrongType(type, json, path);
  // What is beyond an array's end is not looked at.
  const given = type.kind === "tuple" ? json.slice(0, type.length) : json;
  const items = given.map((item, index) => build(type.item, item, below(path, index), before?.[index]));
  if (type.kind === "slice") return items;
  return Array.from({ length: type.length }, (_, index) => (index < items.length ? items[index] : zeroOf(type.item)));
}

function buildMap(type: Extract<GoType, { kind: "map" }>, json: Json, path: Path): Record<string, unknown> {
  if (!(json instanceof JsonObject)) return wrongType(type, json, path);
  // fromEntries defines properties, so that a label called `__proto__` is a label.
  return Object.fromEntries(json.fields.map(([key, item]) => [key, build(type.item, item, below(path, key))]));
}

/** moby's StrSlice tries a list of strings, then one string; its errors know no path. */
function buildStrSlice(json: Json): string[] {
  if (typeof json === "string") return [json];
  if (isList(json) && json.every((item) => typeof item === "string" || item === null))
    return json.map((item) => item ?? "");
  throw new JsonTypeError(`json: cannot unmarshal ${kindOf(json)} into Go value of type string`);
}

function buildStruct(
  type: Extract<GoType, { kind: "struct" }>,
  json: Json,
  path: Path,
  before: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  if (!(json instanceof JsonObject)) return wrongType(type, json, path);
  const value = { ...before };
  for (const [key, item] of json.fields) {
    const field = findField(type.fields, key);
    if (field !== undefined) value[field.key] = build(field.type, item, below(path, key), value[field.key]);
  }
  return value;
}

function findField(fields: readonly GoStructField[], key: string): GoStructField | undefined {
  const exact = fields.find((field) => field.key === key);
  if (exact !== undefined) return exact;
  const folded = fold(key);
  return fields.find((field) => fold(field.key) === folded);
}

/** Unicode's simple folding, in which the long s is an s, too; the Kelvin sign is a k to JavaScript as well. */
const fold = (key: string): string => key.toLowerCase().replaceAll("\u017f", "s");

function zeroOf(type: GoType): unknown {
  switch (type.kind) {
    case "string":
      return "";
    case "bool":
      return false;
    case "integer":
    case "float":
      return 0;
    case "time":
      return zeroTime;
    case "tuple":
      return Array.from({ length: type.length }, () => zeroOf(type.item));
    case "struct":
      return zeroStruct(type.fields);
    case "any":
    case "ptr":
    case "slice":
    case "map":
    case "strslice":
      return null;
    default:
      return type satisfies never;
  }
}

const zeroStruct = (fields: readonly GoStructField[]): Record<string, unknown> =>
  Object.fromEntries(fields.map((field) => [field.key, zeroOf(field.type)]));

function kindOf(json: Json): string {
  if (json instanceof JsonNumber) return "number";
  if (isList(json)) return "array";
  return json instanceof JsonObject ? "object" : typeof json === "boolean" ? "bool" : "string";
}

/** encoding/json of Go 1.27: the path is a JSON pointer with dots, and an element of a list is no "struct field". */
function wrongType(type: GoType, json: Json, path: Path, literal = ""): never {
  const wanted = type.kind === "ptr" ? type.item.name : type.name;
  const { root, tokens } = path;
  const where = tokens.map((token) => `.${String(token).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
  const isField = typeof tokens.at(-1) === "string";
  const target = tokens.length === 0 ? "Go value" : isField ? `Go struct field ${root}${where}` : root + where;
  throw new JsonTypeError(`json: cannot unmarshal ${kindOf(json)}${literal} into ${target} of type ${wanted}`);
}
