import { EngineError } from "#base/errors";

/** The `filters` query word of the list, prune and events endpoints: field → set of values (moby api/types/filters). */
export class Filters {
  readonly #fields: Map<string, Set<string>>;

  constructor(fields: Iterable<readonly [string, Iterable<string>]> = []) {
    this.#fields = new Map(Array.from(fields, ([field, values]) => [field, new Set(values)] as const));
  }

  /** Takes `{"label":{"a=b":true}}` (the CLI) and `{"label":["a=b"]}` (older clients). */
  static parse(text: string | undefined): Filters {
    if (text === undefined || text === "") return new Filters();
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      throw invalidFilter();
    }
    if (parsed === null) return new Filters();
    if (typeof parsed !== "object" || Array.isArray(parsed)) throw invalidFilter();
    return new Filters(Object.entries(parsed).map(([field, values]) => [field, valuesOf(values)] as const));
  }

  get isEmpty(): boolean {
    return this.#fields.size === 0;
  }

  has(field: string): boolean {
    return this.#fields.has(field);
  }

  get(field: string): string[] {
    return [...(this.#fields.get(field) ?? [])];
  }

  validate(accepted: readonly string[]): void {
    for (const field of this.#fields.keys()) if (!accepted.includes(field)) throw invalidFilter(field);
  }

  /** A filter that was not given lets everything through; the same holds for the matches below. */
  exact(field: string, source: string): boolean {
    const values = this.#fields.get(field);
    return values === undefined || values.size === 0 || values.has(source);
  }

  /** Exactly one value was given, and it is this one; or none was. */
  uniqueExact(field: string, source: string): boolean {
    const values = this.#fields.get(field);
    return values === undefined || values.size === 0 || (values.size === 1 && values.has(source));
  }

  prefix(field: string, source: string): boolean {
    return this.exact(field, source) || this.get(field).some((value) => source.startsWith(value));
  }

  /** Each value is a regular expression that may match anywhere; one that does not compile matches nothing. */
  pattern(field: string, source: string): boolean {
    return this.exact(field, source) || this.get(field).some((value) => matches(value, source));
  }

  /** Every `key` or `key=value` must be there. */
  labels(field: string, labels: Readonly<Record<string, string>> | null | undefined): boolean {
    const wanted = this.get(field);
    if (wanted.length === 0) return true;
    return wanted.every((text) => {
      const cut = text.indexOf("=");
      const value = labels?.[cut < 0 ? text : text.slice(0, cut)];
      return value !== undefined && (cut < 0 || value === text.slice(cut + 1));
    });
  }

  /** `1`/`true` and `0`/`false` only, and not both. */
  bool(field: string, fallback: boolean): boolean {
    const values = this.#fields.get(field);
    if (values === undefined) return fallback;
    if (values.size === 0) throw invalidFilter(field);
    const isFalse = values.has("0") || values.has("false");
    const isTrue = values.has("1") || values.has("true");
    if (isFalse === isTrue) throw invalidFilter(field, [...values]);
    return isTrue;
  }

  with(field: string, value: string): Filters {
    const copy = new Filters(this.#fields);
    copy.#fields.set(field, new Set([...this.get(field), value]));
    return copy;
  }
}

/** `invalid filter 'status=[bogus]'`, as moby prints a list of values. */
export function invalidFilter(field?: string, values?: readonly string[]): EngineError {
  const value = values === undefined ? "" : `=[${values.join(" ")}]`;
  return new EngineError(
    "invalidParameter",
    field === undefined ? "invalid filter" : `invalid filter '${field}${value}'`,
  );
}

function valuesOf(values: unknown): string[] {
  if (values === null) return [];
  if (Array.isArray(values)) {
    return values.map((value) => {
      if (typeof value !== "string") throw invalidFilter();
      return value;
    });
  }
  if (typeof values !== "object") throw invalidFilter();
  // The value of a key in the map form is a bool that moby never looks at.
  for (const flag of Object.values(values)) if (typeof flag !== "boolean") throw invalidFilter();
  return Object.keys(values);
}

function matches(pattern: string, source: string): boolean {
  try {
    return new RegExp(pattern).test(source);
  } catch {
    return false;
  }
}
