import { parseExact, stringifyExact } from "#base/exact-json";
import type { Database } from "../database.ts";

/** Values of one kind, each kept as a JSON document under its id. The type is the owner's promise: what goes in comes out. */
export class DocumentTable<T extends object> {
  readonly #kind: string;
  readonly #insert;
  readonly #update;
  readonly #upsert;
  readonly #delete;
  readonly #get;
  readonly #list;

  constructor(database: Database, kind: string) {
    this.#kind = kind;
    this.#insert = database.prepare("INSERT INTO documents (kind, id, document) VALUES (?, ?, ?)");
    this.#update = database.prepare("UPDATE documents SET document = ? WHERE kind = ? AND id = ?");
    this.#upsert = database.prepare(
      "INSERT INTO documents (kind, id, document) VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET document = excluded.document",
    );
    this.#delete = database.prepare("DELETE FROM documents WHERE kind = ? AND id = ?");
    this.#get = database.prepare<[string, string], { document: string }>(
      "SELECT document FROM documents WHERE kind = ? AND id = ?",
    );
    this.#list = database.prepare<[string], { document: string }>(
      "SELECT document FROM documents WHERE kind = ? ORDER BY id",
    );
  }

  /** Throws when the id is taken. */
  insert(id: string, value: T): void {
    this.#insert.run(this.#kind, id, stringifyExact(value));
  }

  /** Throws when there is no such row. */
  update(id: string, value: T): void {
    const { changes } = this.#update.run(stringifyExact(value), this.#kind, id);
    if (changes === 0) throw new Error(`no ${this.#kind} with id ${id}`);
  }

  upsert(id: string, value: T): void {
    this.#upsert.run(this.#kind, id, stringifyExact(value));
  }

  /** Whether there was such a row. */
  delete(id: string): boolean {
    return this.#delete.run(this.#kind, id).changes > 0;
  }

  find(id: string): T | undefined {
    const row = this.#get.get(this.#kind, id);
    return row === undefined ? undefined : parseDocument<T>(row.document);
  }

  get(id: string): T {
    const value = this.find(id);
    if (value === undefined) throw new Error(`no ${this.#kind} with id ${id}`);
    return value;
  }

  /** In the order of their ids. */
  list(): T[] {
    return this.#list.all(this.#kind).map((row) => parseDocument<T>(row.document));
  }
}

/** The document was written by us from a T: nothing else writes to this database. */
export const parseDocument = <T>(text: string): T => parseExact(text) as T;
