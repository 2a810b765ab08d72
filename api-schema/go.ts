/**
 * Docker's bodies are Go structs, and clients see Go's rules: every field has a zero value, pointers, slices and maps
 * may be null, keys match in any case, `omitempty` hides zero values. These builders say so on top of TypeBox, and
 * `src/api/decode.ts` and `encode.ts` are the only readers of the annotations.
 */
import Type, { type Static, type TSchema } from "typebox";

export type { Static, TSchema };

/** How Go treats a field; `name` is the Go type that its decoding errors mention. */
export interface GoField {
  readonly omitempty?: boolean;
}

export type GoKind =
  | "string"
  | "bool"
  | "int"
  | "int64"
  | "uint16"
  | "uint32"
  | "uint64"
  | "float64"
  | "uint"
  | "time"
  | "struct"
  | "ptr"
  | "slice"
  | "map"
  | "any"
  | "strslice"
  | "tuple";

export const string = (o: GoField = {}) => Type.String({ ...o, go: "string" });
export const bool = (o: GoField = {}) => Type.Boolean({ ...o, go: "bool" });
export const int = (o: GoField = {}) => Type.Integer({ ...o, go: "int" });
export const int64 = (o: GoField = {}) => Type.Integer({ ...o, go: "int64" });
/** An int64 beyond 2^53 (nanoseconds since 1970): a bigint here, plain digits on the wire. */
export const bigint = (o: GoField = {}) => Type.BigInt({ ...o, go: "int64" });
export const uint16 = (o: GoField = {}) => Type.Integer({ ...o, go: "uint16" });
export const uint32 = (o: GoField = {}) => Type.Integer({ ...o, go: "uint32" });
export const uint64 = (o: GoField = {}) => Type.Integer({ ...o, go: "uint64" });
export const uint = (o: GoField = {}) => Type.Integer({ ...o, go: "uint" });
export const float64 = (o: GoField = {}) => Type.Number({ ...o, go: "float64" });
/** RFC 3339 text; the zero value is 0001-01-01T00:00:00Z. */
export const time = (o: GoField = {}) => Type.String({ ...o, go: "time" });
export const any = (o: GoField = {}) => Type.Unknown({ ...o, go: "any" });

export const ptr = <T extends TSchema>(item: T, o: GoField = {}) =>
  Type.Union([item, Type.Null()], { ...o, go: "ptr" });
export const slice = <T extends TSchema>(item: T, o: GoField = {}) =>
  Type.Union([Type.Array(item), Type.Null()], { ...o, go: "slice" });
export const map = <T extends TSchema>(item: T, o: GoField = {}) =>
  Type.Union([Type.Record(Type.String(), item), Type.Null()], { ...o, go: "map" });
/** moby's strslice.StrSlice: a list, or one string that stands for a list of one. */
export const strslice = (o: GoField = {}) =>
  Type.Union([Type.Array(Type.String()), Type.Null()], { ...o, go: "strslice" });
export const struct = <P extends Record<string, TSchema>>(name: string, properties: P, o: GoField = {}) =>
  Type.Object(properties, { ...o, go: "struct", goName: name });
/** The value type of Go's map[string]struct{}: always `{}`. */
export const empty = struct("struct {}", {});
