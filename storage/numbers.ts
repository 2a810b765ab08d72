import { readdirSync } from "node:fs";
import type { Database } from "./database.ts";
import type { Layout } from "./layout.ts";

/** The numbers that a layer or a container has. */
export function takenNumbers(database: Database): number[] {
  const all = "SELECT snapshot_number AS number FROM layers UNION ALL SELECT snapshot_number FROM snapshots";
  return database
    .prepare<[], { number: number }>(all)
    .all()
    .map(({ number }) => number);
}

/** Gives every layer and container a folder number that nothing uses, not even a leftover of a crash. */
export class SnapshotNumbers {
  #last: number;

  constructor(database: Database, layout: Layout) {
    const onDisk = readdirSync(layout.snapshots).map(Number).filter(Number.isSafeInteger);
    this.#last = [...takenNumbers(database), ...onDisk].reduce((last, number) => Math.max(last, number), 0);
  }

  next(): number {
    this.#last++;
    return this.#last;
  }
}
