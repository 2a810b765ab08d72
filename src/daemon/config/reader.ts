import { parseSize } from "#base/size-units";
import type { Settings } from "./file.ts";
import { options } from "./options.ts";
import { isObject, type Setting } from "./values.ts";

const fallbacks: ReadonlyMap<string, Setting> = new Map(
  options.flatMap(({ key, fallback }) => (fallback === undefined ? [] : [[key, fallback] as const])),
);

/** Takes settings out by type. The kinds have checked what came in: a value of another type is as good as none. */
export class Reader {
  readonly #settings: Settings;
  constructor(settings: Settings) {
    this.#settings = settings;
  }

  has(key: string): boolean {
    return this.#settings.has(key);
  }

  text(key: string): string {
    const value = this.#get(key);
    return typeof value === "string" ? value : "";
  }

  flag(key: string): boolean {
    return this.#get(key) === true;
  }

  number(key: string): number {
    const value = this.#get(key);
    return typeof value === "number" ? value : 0;
  }

  bytes(key: string): number {
    const value = this.#get(key);
    return typeof value === "string" ? parseSize(value) : this.number(key);
  }

  list(key: string): string[] {
    const value = this.#get(key);
    return Array.isArray(value) ? value.map(String) : [];
  }

  items<T>(key: string, take: (item: Reader) => T): T[] {
    const value = this.#get(key);
    return Array.isArray(value) ? value.map((item) => take(readerOf(item))) : [];
  }

  /** "" for the whole of what this reader reads. */
  record<T>(key: string, take: (value: Setting, item: Reader, name: string) => T): Record<string, T> {
    const value = key === "" ? Object.fromEntries(this.#settings) : this.#get(key);
    if (!isObject(value)) return {};
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, take(item, readerOf(item), name)]));
  }

  #get(key: string): Setting | undefined {
    return this.#settings.get(key) ?? fallbacks.get(key);
  }
}

const readerOf = (value: Setting): Reader => new Reader(new Map(isObject(value) ? Object.entries(value) : []));
