import { stringifyExact } from "#base/exact-json";
import { type Id, parseId } from "#base/ids";
import type { Database } from "../database.ts";
import type { ContainerRecord } from "./container-record.ts";
import { parseDocument } from "./documents.ts";

type Row = { readonly document: string };

export class ContainerTable {
  readonly #insert;
  readonly #update;
  readonly #delete;
  readonly #find;
  readonly #findByName;
  readonly #byPrefix;
  readonly #list;
  readonly #onChange: () => void;

  constructor(database: Database, onChange: () => void = () => undefined) {
    this.#onChange = onChange;
    this.#insert = database.prepare("INSERT INTO containers (id, name, document) VALUES (?, ?, ?)");
    this.#update = database.prepare("UPDATE containers SET name = ?, document = ? WHERE id = ?");
    this.#delete = database.prepare("DELETE FROM containers WHERE id = ?");
    this.#find = database.prepare<[string], Row>("SELECT document FROM containers WHERE id = ?");
    this.#findByName = database.prepare<[string], Row>("SELECT document FROM containers WHERE name = ?");
    this.#byPrefix = database.prepare<[string, string, number], { id: string }>(
      "SELECT id FROM containers WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
    );
    this.#list = database.prepare<[], Row>("SELECT document FROM containers ORDER BY id");
  }

  /** Throws SQLITE_CONSTRAINT_UNIQUE when the name is taken: of two at the same time, one wins. */
  insert(record: ContainerRecord): void {
    this.#insert.run(record.id, record.name, stringifyExact(record));
    this.#onChange();
  }

  /** The name may change. Throws when it is taken, and when there is no such container. */
  update(record: ContainerRecord): void {
    const { changes } = this.#update.run(record.name, stringifyExact(record), record.id);
    if (changes === 0) throw new Error(`no container with id ${record.id}`);
    this.#onChange();
  }

  delete(id: Id): boolean {
    this.#onChange();
    return this.#delete.run(id).changes > 0;
  }

  find(id: Id): ContainerRecord | undefined {
    return toRecord(this.#find.get(id));
  }

  get(id: Id): ContainerRecord {
    const record = this.find(id);
    if (record === undefined) throw new Error(`no container with id ${id}`);
    return record;
  }

  findByName(name: string): ContainerRecord | undefined {
    return toRecord(this.#findByName.get(name));
  }

  /** Ids that begin with `hex`; two are enough to know that it is ambiguous. */
  findByPrefix(hex: string, limit = 2): Id[] {
    return this.#byPrefix.all(hex, `${hex}g`, limit).map((row) => parseId(row.id));
  }

  list(): ContainerRecord[] {
    return this.#list.all().map((row) => parseDocument<ContainerRecord>(row.document));
  }
}

const toRecord = (row: Row | undefined): ContainerRecord | undefined =>
  row === undefined ? undefined : parseDocument<ContainerRecord>(row.document);
