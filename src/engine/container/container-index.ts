import { EngineError } from "#base/errors";
import type { Digest } from "#base/ids";
import type { Log } from "#base/log";
import type { ContainerRecord, MountRecord } from "#storage";
import type { ImageUser } from "../image/parts.ts";
import { linkedId } from "../network/links/legacy-links.ts";
import { Container } from "./container.ts";

/** Where containers are kept on disk; `storage/records` implements it. */
export interface ContainerTable {
  list(): ContainerRecord[];
  insert(record: ContainerRecord): void;
  update(record: ContainerRecord): void;
  delete(id: string): void;
}

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** Every container by id, by name and by prefix. Changes are in the database before they show here. */
export class ContainerIndex {
  readonly #table: ContainerTable;
  readonly #log: Log;
  readonly #byId = new Map<string, Container>();
  readonly #byName = new Map<string, Container>();
  /** Names of containers that are being created. */
  readonly #reserved = new Map<string, string>();
  /** Images of containers that are being created, by the containers' ids. */
  readonly #drafts = new Map<string, Digest>();
  /** Those whose row is older than what is known: the disk was full. */
  readonly #unwritten = new Set<Container>();

  constructor(table: ContainerTable, log: Log) {
    this.#table = table;
    this.#log = log;
    for (const record of table.list()) this.#show(new Container(record));
  }

  /** By full id, exact name, name of a link, or a prefix of the id that only one container has; in this order. */
  get(text: string): Container {
    if (text === "") throw new EngineError("invalidParameter", 'invalid name or ID supplied: ""');
    const found = this.#byId.get(text) ?? this.#byName.get(text.replace(/^\//, ""));
    if (found !== undefined) return found;
    const linked = this.#linked(text);
    if (linked !== undefined) return linked;
    const [match, second] = [...this.#byId.values()].filter((container) => container.id.startsWith(text));
    if (second !== undefined) {
      throw new EngineError("invalidParameter", `multiple IDs found with provided prefix: ${text}`);
    }
    if (match === undefined) throw new EngineError("notFound", `No such container: ${text}`);
    return match;
  }

  find(text: string): Container | undefined {
    try {
      return this.get(text);
    } catch (error) {
      if (error instanceof EngineError) return undefined;
      throw error;
    }
  }

  list(): Container[] {
    return [...this.#byId.values()];
  }

  /** Holds a name (without slash) for an id, until `insert` or `release`. `shown`: how a bad one is quoted. */
  reserve(name: string, id: string, shown = name): void {
    if (!namePattern.test(name)) {
      const rule = "[a-zA-Z0-9][a-zA-Z0-9_.-]";
      throw new EngineError("invalidParameter", `Invalid container name (${shown}), only ${rule} are allowed`);
    }
    const holder = this.holderOf(name);
    if (holder !== undefined) {
      throw new EngineError(
        "conflict",
        `Conflict. The container name "/${name}" is already in use by container "${holder}". You have to remove (or rename) that container to be able to reuse that name.`,
      );
    }
    this.#reserved.set(name, id);
  }

  release(name: string): void {
    this.#reserved.delete(name);
  }

  holderOf(name: string): string | undefined {
    return this.#byName.get(name)?.id ?? this.#reserved.get(name);
  }

  /** Until disposed, a container that is not there yet keeps its image. */
  draft(id: string, imageId: Digest): Disposable {
    this.#drafts.set(id, imageId);
    return { [Symbol.dispose]: () => void this.#drafts.delete(id) };
  }

  draftsOn(imageId: Digest): string[] {
    return [...this.#drafts].filter(([, image]) => image === imageId).map(([id]) => id);
  }

  insert(container: Container): void {
    this.#table.insert(container.record);
    this.#reserved.delete(container.name);
    this.#show(container);
  }

  /** Writes what has changed in the record. */
  save(container: Container): void {
    container.summary = undefined;
    if (this.#byId.has(container.id)) this.#table.update(container.record);
    this.#unwritten.delete(container);
  }

  /** Writes what has happened, and cannot be undone by a full disk: then it is tried again with whatever happens next. */
  note(container: Container): void {
    for (const late of new Set([...this.#unwritten, container])) {
      try {
        this.save(late);
      } catch (error) {
        this.#unwritten.add(late);
        this.#log.error({ id: late.id, err: error }, "cannot record the state of a container");
      }
    }
  }

  rename(container: Container, name: string): void {
    const before = container.record.name;
    container.record.name = name;
    try {
      this.#table.update(container.record);
    } catch (error) {
      container.record.name = before;
      throw error;
    }
    this.#byName.delete(before);
    this.#reserved.delete(name);
    this.#byName.set(name, container);
  }

  delete(container: Container): void {
    this.#table.delete(container.id);
    this.#unwritten.delete(container);
    this.#byId.delete(container.id);
    this.#byName.delete(container.name);
  }

  /** "parent/alias" is one more name of the container that the parent is linked to. */
  #linked(text: string): Container | undefined {
    const [, parent = "", alias = ""] = /^\/?([^/]+)\/([^/]+)$/.exec(text) ?? [];
    const container = this.#byName.get(parent);
    const id = container === undefined ? undefined : linkedId(container.record, alias);
    return id === undefined ? undefined : this.#byId.get(id);
  }

  #show(container: Container): void {
    this.#byId.set(container.id, container);
    this.#byName.set(container.name, container);
  }
}

/** Who would miss an image: by its id, or by a name of it that an image mount uses. */
export function containersUsing(index: ContainerIndex, imageId: Digest): ImageUser[] {
  const mountsIt = ({ type, spec }: MountRecord): boolean => type === "image" && spec?.Source === imageId;
  const users = index.list().filter(({ record }) => record.imageId === imageId || record.mounts.some(mountsIt));
  const drafts = index.draftsOn(imageId).map((id) => ({ id, name: "", isRunning: false }));
  return [...users.map(({ id, name, isRunning }) => ({ id, name, isRunning })), ...drafts];
}
