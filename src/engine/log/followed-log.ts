import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { type LogFile, openAged } from "./files.ts";

/** One log, for all who follow it: one watch on its folder, and one look at its files when they were rotated. */
export class FollowedLog {
  readonly #path: string;
  readonly #watcher: FSWatcher;
  readonly #followers = new Set<Follower>();
  readonly #onLeft: () => void;
  /** Of its files, the one that is written first; undefined when they may have changed. */
  #identities: Promise<readonly string[]> | undefined;

  /** `onLeft` is called when the last follower has gone, and the watch with it. */
  constructor(path: string, onLeft: () => void) {
    this.#path = path;
    this.#onLeft = onLeft;
    const name = basename(path);
    this.#watcher = watch(dirname(path), { persistent: false }, (event, file) => {
      if (file !== name && file !== null) return;
      if (event === "rename") this.refresh();
      this.#wakeAll();
    });
    this.#watcher.on("error", () => this.#wakeAll());
  }

  join(): Follower {
    const follower = new Follower(this, () => this.#leave(follower));
    this.#followers.add(follower);
    return follower;
  }

  /** The file that came after `current`, or the oldest that is kept if that one is not any more; undefined if it is the last. */
  async fileAfter(current: LogFile | undefined): Promise<LogFile | undefined> {
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
      const file = await openAged(this.#path, age);
      if (file === undefined || file.identity === identity) return file;
      await file.handle.close();
    }
  }

  refresh(): void {
    this.#identities = undefined;
  }

  /** While files are made older one may be seen twice, and there is a gap where the next one is to go: none is passed over. */
  async #list(): Promise<readonly string[]> {
    const identities: string[] = [];
    for (let [age, missing] = [0, 0]; missing < 2; age++) {
      const file = await openAged(this.#path, age);
      await file?.handle.close();
      if (file === undefined) missing++;
      else if (missing === 0) identities.push(file.identity);
      else [age, missing, identities.length] = [-1, 0, 0];
    }
    return identities;
  }

  #wakeAll(): void {
    for (const follower of this.#followers) follower.wake();
  }

  #leave(follower: Follower): void {
    this.#followers.delete(follower);
    if (this.#followers.size > 0) return;
    this.#watcher.close();
    this.#onLeft();
  }
}

/** Tells one who follows a log when to look at it again. */
export class Follower implements Disposable {
  readonly log: FollowedLog;
  readonly #leave: () => void;
  #isPending = false;
  #wake: () => void = () => undefined;

  constructor(log: FollowedLog, leave: () => void) {
    this.log = log;
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
