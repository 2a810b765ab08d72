import type { TSchema } from "#api-schema/go";

/** What Go's reflection would say of a schema of `api-schema/`. Decoding and encoding are written against this. */
export type GoType =
  | { readonly kind: "string" | "bool" | "float" | "time" | "any"; readonly name: string }
  | { readonly kind: "integer"; readonly name: string; readonly min: bigint; readonly max: bigint }
  | { readonly kind: "ptr"; readonly name: string; readonly item: GoType }
  | { readonly kind: "slice"; readonly name: string; readonly item: GoType }
  | { readonly kind: "map"; readonly name: string; readonly item: GoType }
  | { readonly kind: "tuple"; readonly name: string; readonly item: GoType; readonly length: number }
  | { readonly kind: "strslice"; readonly name: string }
  | { readonly kind: "struct"; readonly name: string; readonly fields: readonly GoStructField[] };

export interface GoStructField {
  readonly key: string;
  readonly omitempty: boolean;
  readonly type: GoType;
}

const known = new WeakMap<TSchema, GoType>();

export function reflect(schema: TSchema): GoType {
  const before = known.get(schema);
  if (before !== undefined) return before;
  const type = describe(schema);
  known.set(schema, type);
  return type;
}

const signed = (bits: bigint) => ({ min: -(2n ** (bits - 1n)), max: 2n ** (bits - 1n) - 1n });
const unsigned = (bits: bigint) => ({ min: 0n, max: 2n ** bits - 1n });
const integers: Readonly<Record<string, { min: bigint; max: bigint }>> = {
  int: signed(64n),
  int64: signed(64n),
  uint: unsigned(64n),
  uint16: unsigned(16n),
  uint32: unsigned(32n),
  uint64: unsigned(64n),
};

function describe(schema: TSchema): GoType {
  const kind = text(schema, "go");
  const name = text(schema, "goType");
  const range = integers[kind];
  if (range !== undefined) return { kind: "integer", name: name || kind, ...range };
  switch (kind) {
    case "string":
    case "bool":
      return { kind, name: name || kind };
    case "float64":
      return { kind: "float", name: name || kind };
    case "time":
      return { kind, name: "time.Time" };
    case "any":
      return { kind, name: "interface {}" };
    case "strslice":
      return { kind, name: "strslice.StrSlice" };
    case "struct":
      return { kind, name, fields: fieldsOf(schema) };
    default:
      return describeContainer(schema, kind, name);
  }
}

function describeContainer(schema: TSchema, kind: string, name: string): GoType {
  const item = itemOf(schema);
  switch (kind) {
    case "ptr":
      return { kind, item, name: name || `*${item.name}` };
    case "slice":
      return { kind, item, name: name || `[]${item.name}` };
    case "map":
      return { kind, item, name: name || `map[string]${item.name}` };
    case "tuple":
      return { kind, item, length: 2, name: name || `[2]${item.name}` };
    default:
      throw new Error(`a schema without a Go kind: ${JSON.stringify(schema)}`);
  }
}

function fieldsOf(schema: TSchema): GoStructField[] {
  const properties: unknown = Reflect.get(schema, "properties");
  if (typeof properties !== "object" || properties === null) throw new Error("a struct without properties");
  return Object.entries(properties).map(([key, property]: [string, unknown]) => {
    if (!isSchema(property)) throw new Error(`field ${key} is no schema`);
    return { key, omitempty: Reflect.get(property, "omitempty") === true, type: reflect(property) };
  });
}

function itemOf(schema: TSchema): GoType {
  const item: unknown = Reflect.get(schema, "item");
  if (!isSchema(item)) throw new Error("a container schema without its item");
  return reflect(item);
}

const isSchema = (value: unknown): value is TSchema => typeof value === "object" && value !== null;

function text(schema: TSchema, key: string): string {
  const value: unknown = Reflect.get(schema, key);
  return typeof value === "string" ? value : "";
}
