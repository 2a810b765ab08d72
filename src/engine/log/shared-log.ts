import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { Locks } from "#base/locks";
import { type LogFile, openAged } from "./files.ts";

/** One log, for all who read it now: its files are opened once, and watched once for all who follow it. */
export class SharedLog {
  readonly path: string;
  readonly #files = new Map<string, { readonly file: LogFile; holders: number }>();
  readonly #followers = new Set<Follower>();
  readonly #locks = new Locks();
  #watcher: FSWatcher | undefined;
  /** Of its files, the one that is written first; undefined when they may have changed. */
  #identities: Promise<readonly string[]> | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** The file to read from in place of this one, which may be open already. It is given back with `release`. */
  async share(opened: LogFile): Promise<LogFile> {
    const known = this.#files.get(opened.identity);
    if (known === undefined) {
      this.#files.set(opened.identity, { file: opened, holders: 1 });
      return opened;
    }
    known.holders++;
    await opened.close();
    return known.file;
  }

  async release({ identity }: LogFile): Promise<void> {
    const known = this.#files.get(identity);
    if (known === undefined || --known.holders > 0) return;
    this.#files.delete(identity);
    await known.file.close();
  }

  /** Tells when something may have happened, until it is disposed of. */
  follow(): Follower {
    this.#watcher ??= this.#watch();
    const follower = new Follower(() => this.#leave(follower));
    this.#followers.add(follower);
    return follower;
  }

  /** The file that came after `current`, or the oldest that is kept if that one is not any more; undefined if it is the last. */
  fileAfter(current: LogFile | undefined): Promise<LogFile | undefined> {
    return this.#locks.run(this.path, () => this.#fileAfter(current));
  }

  refresh(): void {
    this.#identities = undefined;
  }

  async #fileAfter(current: LogFile | undefined): Promise<LogFile | undefined> {
    for (;;) {
      this.#identities ??= this.#list();
      const identities = await this.#identities;
      const age = current === undefined ? -1 : identities.indexOf(current.identity);
      const next = age < 0 ? identities.length - 1 : age - 1;
      const identity = identities[next];
      if (identity === undefined) return undefined;
      const file = await this.#find(identity, next);
      if (file !== undefined) return file;
      this.refresh();
    }
  }

  /** It may have grown older since. */
  async #find(identity: string, youngest: number): Promise<LogFile | undefined> {
    for (let age = youngest; ; age++) {
      const known = this.#files.get(identity);
      if (known !== undefined) {
        known.holders++;
        return known.file;
      }
      const file = await openAged(this.path, age);
      if (file === undefined) return undefined;
      if (file.identity === identity) return this.share(file);
      await file.close();
    }
  }

  /** While files are made older one may be seen twice, and there is a gap where the next one is to go: none is passed over. */
  async #list(): Promise<readonly string[]> {
    const identities: string[] = [];
    for (let [age, missing] = [0, 0]; missing < 2; age++) {
      const file = await openAged(this.path, age);
      await file?.close();
      if (file === undefined) missing++;
      else if (missing === 0) identities.push(file.identity);
      else [age, missing, identities.length] = [-1, 0, 0];
    }
    return identities;
  }

  #watch(): FSWatcher {
    const name = basename(this.path);
    const watcher = watch(dirname(this.path), { persistent: false }, (event, file) => {
      if (file !== name && file !== null) return;
      if (event === "rename") this.refresh();
      this.#wakeAll();
    });
    watcher.on("error", () => this.#wakeAll());
    return watcher;
  }

  #wakeAll(): void {
    for (const follower of this.#followers) follower.wake();
  }

  #leave(follower: Follower): void {
    this.#followers.delete(follower);
    if (this.#followers.size > 0) return;
    this.#watcher?.close();
    this.#watcher = undefined;
    this.refresh();
  }
}

/** Tells one who follows a log when to look at it again. */
export class Follower implements Disposable {
  readonly #leave: () => void;
  #isPending = false;
  #wake: () => void = () => undefined;

  constructor(leave: () => void) {
    this.#leave = leave;
  }

  wake(): void {
    this.#isPending = true;
    this.#wake();
  }

  /** Resolves at once if something has happened since the last call. */
  async changed(): Promise<void> {
    if (!this.#isPending) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#isPending = false;
  }

  [Symbol.dispose](): void {
    this.#leave();
  }
}
