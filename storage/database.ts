import { closeSync, existsSync, openSync } from "node:fs";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { errnoOf } from "#base/errors";
import { flock, LOCK_EX, LOCK_NB } from "#native";
import { migrations } from "./migrations.ts";
import { WalSync } from "./wal-sync.ts";

export type Database = Sqlite.Database;

/** The one open database of a data root. */
export interface OpenDatabase extends Disposable {
  readonly database: Database;
  readonly wal: WalSync;
}

/**
 * Opens `<data-root>/engine.db` and brings it to this version. The flock on `minidockd.lock` ends with the process, so a
 * killed daemon leaves no stale lock. Throws when another daemon holds it or a newer one has written the database.
 */
export function openDatabase(dataRoot: string): OpenDatabase {
  using undo = new DisposableStack();
  const lock = openSync(join(dataRoot, "minidockd.lock"), "a", 0o600);
  undo.defer(() => closeSync(lock));
  if (!tryLock(lock)) throw new Error(`data root ${dataRoot} is in use by another minidockd`);
  const database = new Sqlite(databaseFile(dataRoot));
  undo.defer(() => database.close());
  configure(database);
  migrate(database);
  const owned = undo.move();
  return { database, wal: new WalSync(databaseFile(dataRoot)), [Symbol.dispose]: () => owned.dispose() };
}

export const databaseFile = (dataRoot: string): string => join(dataRoot, "engine.db");

/** For those who look at a store and must not make one. */
export function requireDatabase(dataRoot: string): void {
  if (!existsSync(databaseFile(dataRoot))) throw new Error(`there is no store in ${dataRoot}`);
}

/** False when another process has it: its daemon runs. The lock ends with the descriptor. */
export function tryLock(fd: number): boolean {
  try {
    flock(fd, LOCK_EX | LOCK_NB);
    return true;
  } catch (error) {
    if (errnoOf(error) !== "EAGAIN") throw error;
    return false;
  }
}

function configure(database: Database): void {
  database.pragma("journal_mode = WAL");
  // WAL + NORMAL: a power cut may lose the last commits but never mixes them. Files are synced before their row is written,
  // and the log before the files of a row that is gone (wal-sync.ts).
  database.pragma("synchronous = NORMAL");
  database.pragma("foreign_keys = ON");
  database.pragma("busy_timeout = 5000");
}

function migrate(database: Database): void {
  const found = Number(database.pragma("user_version", { simple: true }));
  if (found > migrations.length) {
    throw new Error(`engine.db has version ${found}, this minidockd knows ${migrations.length}: use a newer one`);
  }
  for (const [index, sql] of migrations.entries()) {
    if (index < found) continue;
    database.transaction(() => {
      database.exec(sql);
      database.pragma(`user_version = ${index + 1}`);
    })();
  }
}
