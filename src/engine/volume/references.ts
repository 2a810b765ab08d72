/** Which containers hold which volumes. The truth is in the containers' records; this also knows of those being created. */
export class References {
  readonly #holders = new Map<string, Set<string>>();

  has(volume: string): boolean {
    return this.of(volume).length > 0;
  }

  of(volume: string): string[] {
    return [...(this.#holders.get(volume) ?? [])];
  }

  add(volume: string, containerId: string): void {
    const holders = this.#holders.get(volume) ?? new Set();
    this.#holders.set(volume, holders.add(containerId));
  }

  remove(volume: string, containerId: string): void {
    const holders = this.#holders.get(volume);
    holders?.delete(containerId);
    if (holders?.size === 0) this.#holders.delete(volume);
  }

  /** Everything that a container holds. */
  drop(containerId: string): void {
    for (const volume of [...this.#holders.keys()]) this.remove(volume, containerId);
  }
}
