import { closeSync, existsSync, openSync } from "node:fs";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { errnoOf, messageOf } from "#base/errors";
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
  try {
    configure(database);
    migrate(database);
    reserve(database);
  } catch (error) {
    throw isDamage(error) ? damaged(dataRoot, error) : error;
  }
  const owned = undo.move();
  return { database, wal: new WalSync(databaseFile(dataRoot)), [Symbol.dispose]: () => owned.dispose() };
}

export const databaseFile = (dataRoot: string): string => join(dataRoot, "engine.db");

const damageCodes = ["SQLITE_NOTADB", "SQLITE_CORRUPT"];
const isDamage = (error: unknown): boolean => damageCodes.some((code) => errnoOf(error)?.startsWith(code));

/** Nothing is removed on the word of a database that cannot be read: the files below it stay for whoever restores it. */
const damaged = (dataRoot: string, cause: unknown): Error =>
  new Error(
    `${databaseFile(dataRoot)} is damaged (${messageOf(cause)}): put it back from a backup, or move it away to begin with an empty store`,
    { cause },
  );

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

const reserveBytes = 1 << 20;
const pageBytes = 4096;

/**
 * Room for what must be recorded on a full disk, not least that something was removed. The log is written round and round in
 * the blocks that it has had once, up to the length at which it is brought to the database; which gets free pages as well.
 */
function reserve(database: Database): void {
  database.pragma(`wal_autocheckpoint = ${reserveBytes / pageBytes}`);
  try {
    database.exec("DROP TABLE IF EXISTS reserve; CREATE TABLE reserve (bytes BLOB)");
    database.prepare("INSERT INTO reserve VALUES (zeroblob(?))").run(reserveBytes * 1.5);
  } catch (error) {
    if (errnoOf(error) !== "SQLITE_FULL") throw error;
  }
  database.exec("DROP TABLE IF EXISTS reserve");
  database.pragma("wal_checkpoint(RESTART)");
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
