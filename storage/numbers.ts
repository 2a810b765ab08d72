import { readdirSync } from "node:fs";
import type { Database } from "./database.ts";
import type { Layout } from "./layout.ts";

/** Gives every layer and container a folder number that nothing uses, not even a leftover of a crash. */
export class SnapshotNumbers {
  #last: number;

  constructor(database: Database, layout: Layout) {
    const row = database
      .prepare<[], { last: number }>(
        "SELECT max(snapshot_number) AS last FROM (SELECT snapshot_number FROM layers UNION ALL SELECT snapshot_number FROM snapshots)",
      )
      .get();
    const onDisk = readdirSync(layout.snapshots).map(Number).filter(Number.isSafeInteger);
    this.#last = Math.max(row?.last ?? 0, ...onDisk, 0);
  }

  next(): number {
    this.#last++;
    return this.#last;
  }
}
