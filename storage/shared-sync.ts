/** Work that brings to the disk all that was written before it began: whoever comes while it is under way shares the next. */
export class SharedSync {
  readonly #work: () => Promise<unknown>;
  #last: Promise<unknown> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(work: () => Promise<unknown>) {
    this.#work = work;
  }

  /** When it resolves, what was written before the call is on the disk. */
  sync(): Promise<void> {
    this.#next ??= this.#last.then(() => this.#begin());
    return this.#next;
  }

  async #begin(): Promise<void> {
    this.#next = undefined;
    const work = this.#work();
    this.#last = work.catch(() => undefined);
    await work;
  }
}
