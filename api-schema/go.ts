/**
 * Docker's bodies are Go structs, and clients see Go's rules: every field has a zero value, pointers, slices and maps
 * may be null, keys match in any case, `omitempty` hides zero values. These builders say so on top of TypeBox, and
 * `src/api/reflect.ts` is the only reader of the annotations.
 */
import Type, { type Static, type TSchema } from "typebox";

export type { Static, TSchema };

/** How Go treats a field. */
export interface GoField {
  readonly omitempty?: boolean;
  /** Go's name of the type where it is not the plain one ("container.NetworkMode"): decoding errors mention it. */
  readonly type?: string;
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

const annotate = <K extends GoKind>(kind: K, o: GoField) => ({ go: kind, omitempty: o.omitempty, goType: o.type });

export const string = (o: GoField = {}) => Type.String(annotate("string", o));
export const bool = (o: GoField = {}) => Type.Boolean(annotate("bool", o));
/** Of 64 bits: a number as far as numbers are exact, a bigint beyond. */
const wide = (kind: "int" | "int64" | "uint64", o: GoField) =>
  Type.Union([Type.Integer(), Type.BigInt()], annotate(kind, o));
export const int = (o: GoField = {}) => wide("int", o);
export const int64 = (o: GoField = {}) => wide("int64", o);
export const uint16 = (o: GoField = {}) => Type.Integer(annotate("uint16", o));
export const uint32 = (o: GoField = {}) => Type.Integer(annotate("uint32", o));
export const uint64 = (o: GoField = {}) => wide("uint64", o);
export const uint = (o: GoField = {}) => Type.Integer(annotate("uint", o));
export const float64 = (o: GoField = {}) => Type.Number(annotate("float64", o));
/** An int64 beyond 2^53 (nanoseconds since 1970): a bigint here, plain digits on the wire. Answers only. */
export const bigint = (o: GoField = {}) => Type.BigInt(annotate("int64", o));
/** RFC 3339 text; the zero value is 0001-01-01T00:00:00Z. */
export const time = (o: GoField = {}) => Type.String(annotate("time", o));
export const any = (o: GoField = {}) => Type.Unknown(annotate("any", o));

export const ptr = <T extends TSchema>(item: T, o: GoField = {}) =>
  Type.Union([item, Type.Null()], { ...annotate("ptr", o), item });
export const slice = <T extends TSchema>(item: T, o: GoField = {}) =>
  Type.Union([Type.Array(item), Type.Null()], { ...annotate("slice", o), item });
/** `[2]T`: surplus elements are ignored, missing ones are zero. */
export const pair = <T extends TSchema>(item: T, o: GoField = {}) =>
  Type.Tuple([item, item], { ...annotate("tuple", o), item, length: 2 });
export const map = <T extends TSchema>(item: T, o: GoField = {}) =>
  Type.Union([Type.Record(Type.String(), item), Type.Null()], { ...annotate("map", o), item });
/** A field of an answer that whoever makes the value may leave out; for `omitempty` ones. */
export const optional = <T extends TSchema>(field: T) => Type.Optional(field);
/** moby's strslice.StrSlice: a list, or one string that stands for a list of one. */
export const strslice = (o: GoField = {}) =>
  Type.Union([Type.Array(Type.String()), Type.Null()], annotate("strslice", o));
/** `name` with its package, as Go prints it: "container.HostConfig". */
export const struct = <P extends Record<string, TSchema>>(name: string, properties: P, o: GoField = {}) =>
  Type.Object(properties, annotate("struct", { ...o, type: name }));
/** The value type of Go's map[string]struct{}: always `{}`. */
export const empty = struct("struct {}", {});
