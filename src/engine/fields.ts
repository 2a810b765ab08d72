import { EngineError, messageOf } from "#base/errors";
import { parseGoTime, rfc3339 } from "#base/go-time";
import { goQuote, uint32 } from "#base/strconv";

/** An object of unknown origin, read field by field; a wrong type is refused in the words of encoding/json. */
export class Fields {
  readonly #names: readonly string[];
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #path: string;

  constructor(value: unknown, path: string, goType: string) {
    if (!isObject(value) && value !== null && value !== undefined) throw wrongType(value, path, goType);
    this.#names = Object.keys(value ?? {});
    this.#values = new Map(Object.entries(value ?? {}).map(([key, field]) => [key.toLowerCase(), field]));
    this.#path = path;
  }

  #get(name: string): unknown {
    return this.#values.get(name.toLowerCase()) ?? null;
  }

  #wrong(name: string, goType: string, value = this.#get(name)): EngineError {
    return wrongType(value, `${this.#path}.${name}`, goType);
  }

  /** encoding/json's DisallowUnknownFields. */
  only(...known: readonly string[]): this {
    const lower = new Set(known.map((name) => name.toLowerCase()));
    const stranger = this.#names.find((name) => !lower.has(name.toLowerCase()));
    if (stranger !== undefined) throw invalid(`json: unknown field ${goQuote(stranger)}`);
    return this;
  }

  isNull(name: string): boolean {
    return this.#get(name) === null;
  }

  object(name: string, goType: string): Fields {
    return new Fields(this.#get(name), `${this.#path}.${name}`, goType);
  }

  objects(name: string, goType: string): Fields[] {
    return this.list(name, `[]${goType}`).map((item, at) => new Fields(item, `${this.#path}.${name}.${at}`, goType));
  }

  text(name: string): string {
    const value = this.#get(name) ?? "";
    if (typeof value !== "string") throw this.#wrong(name, "string");
    return value;
  }

  flag(name: string): boolean {
    const value = this.#get(name) ?? false;
    if (typeof value !== "boolean") throw this.#wrong(name, "bool");
    return value;
  }

  number(name: string, goType = "int"): number {
    const value = this.#get(name) ?? 0;
    if (!isOf(goType, value)) throw this.#wrong(name, goType);
    return value;
  }

  numbers(name: string, goType: string): number[] {
    return this.list(name, `[]${goType}`).map((item, at) => {
      const value = item ?? 0;
      if (!isOf(goType, value)) throw this.#wrong(`${name}.${at}`, goType, value);
      return value;
    });
  }

  /** RFC 3339, kept as it is written: its nanoseconds must survive. */
  time(name: string): string | null {
    const value = this.#get(name);
    if (value === null) return null;
    if (typeof value !== "string") throw invalid("Time.UnmarshalJSON: input is not a JSON string");
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value)) throw badTime(value);
    return value;
  }

  list(name: string, goType: string): readonly unknown[] {
    const value = this.#get(name) ?? [];
    if (!Array.isArray(value)) throw this.#wrong(name, goType);
    return value;
  }

  texts(name: string): string[] | null {
    if (this.isNull(name)) return null;
    return this.list(name, "[]string").map((item: unknown, at) => {
      if (item === null) return "";
      if (typeof item !== "string") throw this.#wrong(`${name}.${at}`, "string", item);
      return item;
    });
  }

  /** moby's StrSlice: one string stands for a list of one. Its errors know no path. */
  words(name: string): string[] | null {
    const value = this.#get(name);
    if (value === null) return null;
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    return list.map((item) => {
      if (item === null) return "";
      if (typeof item !== "string") throw wrongType(value, "", "string");
      return item;
    });
  }

  map(name: string): Record<string, string> | null {
    const value = this.#get(name);
    if (value === null) return null;
    if (!isObject(value)) throw this.#wrong(name, "map[string]string");
    const entries = Object.entries(value).map(([key, item]) => {
      if (typeof item !== "string") throw this.#wrong(`${name}.${key}`, "string", item);
      return [key, item] as const;
    });
    return Object.fromEntries(entries);
  }

  /** Go's map[string]struct{}. */
  set(name: string, goType: string): Record<string, Record<string, never>> | null {
    const value = this.#get(name);
    if (value === null) return null;
    if (!isObject(value)) throw this.#wrong(name, goType);
    return Object.fromEntries(Object.keys(value).map((key) => [key, {}]));
  }
}

/** A list of objects that has no name of its own. */
export function readList(value: unknown, goType: string): Fields[] {
  if (!Array.isArray(value)) throw wrongType(value, "", `[]${goType}`);
  return value.map((item: unknown, at) => new Fields(item, `.${at}`, goType));
}

const isOf = (goType: string, value: unknown): value is number =>
  typeof value === "number" &&
  Number.isInteger(value) &&
  (goType !== "uint32" || (value >= Number(uint32.min) && value <= Number(uint32.max)));

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const invalid = (message: string, cause?: unknown) => new EngineError("invalidParameter", message, { cause });

/** encoding/json of Go 1.27: an element of a list is no "struct field". */
function wrongType(value: unknown, path: string, goType: string): EngineError {
  const last = path.split(".").slice(1).at(-1);
  const target = last === undefined ? "Go value" : /^\d+$/.test(last) ? path : `Go struct field ${path}`;
  return invalid(`json: cannot unmarshal ${kindOf(value)} into ${target} of type ${goType}`);
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "array";
  return typeof value === "boolean" ? "bool" : typeof value;
}

function badTime(text: string): EngineError {
  try {
    parseGoTime(rfc3339, text);
  } catch (error) {
    return invalid(messageOf(error), error);
  }
  return invalid(`parsing time ${goQuote(text)} as ${goQuote(rfc3339)}`);
}
