import { EngineError } from "#base/errors";
import { goRegExp } from "#base/go-regexp";

/**
 * The `filters` query word of the list, prune and events endpoints: field → values (moby api/types/filters). The CLI sends
 * each value with a flag, which is always true; one that is false is there but matches nothing.
 */
export class Filters {
  readonly #fields: Map<string, Values>;

  constructor(fields: Iterable<readonly [string, Iterable<string>]> = []) {
    this.#fields = new Map(Array.from(fields, ([field, values]) => [field, allTrue(values)] as const));
  }

  /** Takes `{"label":{"a=b":true}}` (the CLI) and `{"label":["a=b"]}` (older clients), but not a mixture. */
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
    const forms = new Set(Object.values(parsed).flatMap((values) => (values === null ? [] : [Array.isArray(values)])));
    if (forms.size > 1) throw invalidFilter();
    const filters = new Filters();
    for (const [field, values] of Object.entries(parsed)) filters.#fields.set(field, valuesOf(values));
    return filters;
  }

  get isEmpty(): boolean {
    return this.#fields.size === 0;
  }

  has(field: string): boolean {
    return this.#fields.has(field);
  }

  get(field: string): string[] {
    return [...(this.#fields.get(field)?.keys() ?? [])];
  }

  validate(accepted: readonly string[]): void {
    for (const field of this.#fields.keys()) if (!accepted.includes(field)) throw invalidFilter(field);
  }

  /** A filter that was not given lets everything through; the same holds for the matches below. */
  exact(field: string, source: string): boolean {
    const values = this.#fields.get(field);
    return values === undefined || values.size === 0 || values.get(source) === true;
  }

  /** Exactly one value was given, and it is this one; or none was. */
  uniqueExact(field: string, source: string): boolean {
    const values = this.#fields.get(field);
    return values === undefined || values.size === 0 || (values.size === 1 && values.get(source) === true);
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
      const key = cut < 0 ? text : text.slice(0, cut);
      return Object.hasOwn(labels ?? {}, key) && (cut < 0 || labels?.[key] === text.slice(cut + 1));
    });
  }

  /** `1`/`true` and `0`/`false` only, and not both. */
  bool(field: string, fallback: boolean): boolean {
    const values = this.#fields.get(field);
    if (values === undefined) return fallback;
    if (values.size === 0) throw invalidFilter(field);
    const isFalse = values.get("0") === true || values.get("false") === true;
    const isTrue = values.get("1") === true || values.get("true") === true;
    if (isFalse === isTrue) throw invalidFilter(field, [...values.keys()]);
    return isTrue;
  }

  with(field: string, value: string): Filters {
    const copy = new Filters();
    for (const [own, values] of this.#fields) copy.#fields.set(own, values);
    copy.#fields.set(field, new Map(copy.#fields.get(field)).set(value, true));
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

type Values = ReadonlyMap<string, boolean>;

const allTrue = (values: Iterable<string>): Values => new Map(Array.from(values, (value) => [value, true]));

/** A list, or a map from value to flag; null is "" or false there, as it is to Go. */
function valuesOf(values: unknown): Values {
  if (values === null) return new Map();
  if (typeof values !== "object") throw invalidFilter();
  if (Array.isArray(values)) {
    return allTrue(
      values.map((value) => {
        if (typeof value !== "string" && value !== null) throw invalidFilter();
        return value ?? "";
      }),
    );
  }
  return new Map(
    Object.entries(values).map(([value, flag]) => {
      if (typeof flag !== "boolean" && flag !== null) throw invalidFilter();
      return [value, flag === true];
    }),
  );
}

function matches(pattern: string, source: string): boolean {
  try {
    return goRegExp(pattern).test(source);
  } catch {
    return false;
  }
}
