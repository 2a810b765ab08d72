/** Users, groups and subordinate ids of the host (passwd(5), group(5), subuid(5)), read as moby reads them: files first, then getent(1). */

import { readFileSync } from "node:fs";
import type { IdMapping } from "#base/id-mappings";
import { goQuote } from "#base/strconv";
import { ProgramError, runAtStart } from "#runtime";

export interface Account {
  readonly name: string;
  readonly id: number;
}

export type Database = "passwd" | "group";

/** Throws in moby's words. */
export function findAccount(database: Database, key: string | number): Account {
  const matches = ({ name, id }: Account) => (typeof key === "number" ? id === key : name === key);
  const found = parseAccounts(readFileSync(`/etc/${database}`, "utf8")).find(matches);
  if (found !== undefined) return found;
  const [account] = parseAccounts(getent(database, `${key}`));
  if (account === undefined) throw new Error(`getent failed to find ${database} entry for "${key}"`);
  return account;
}

function parseAccounts(text: string): Account[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", , id = ""] = line.trim().split(":");
    return /^\d+$/.test(id) && !name.startsWith("#") ? { name, id: Number(id) } : [];
  });
}

function getent(database: Database, key: string): string {
  try {
    return runAtStart("getent", [database, key]);
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    throw new Error(getentReasons(database, key)[error.exitCode ?? -1] ?? error.message, { cause: error });
  }
}

const getentReasons = (database: Database, key: string): Readonly<Record<number, string>> => ({
  1: "getent reported invalid parameters/database unknown",
  2: `getent unable to find entry "${key}" in ${database} database`,
  3: "getent database doesn't support enumeration",
});

interface SubordinateRange {
  readonly owner: string;
  readonly first: number;
  readonly size: number;
}

export type RangeFile = "/etc/subuid" | "/etc/subgid";

/** What the file grants to a user, one range after the other from the container's 0 on. */
export function grantedIds(file: RangeFile, user: Account): IdMapping[] {
  let containerID = 0;
  const mappings: IdMapping[] = [];
  for (const { owner, first, size } of readRanges(file)) {
    if (owner !== user.name && owner !== `${user.id}`) continue;
    mappings.push({ containerID, hostID: first, size });
    containerID += size;
  }
  return mappings;
}

function readRanges(file: RangeFile): SubordinateRange[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .flatMap((line) => {
      const [owner = "", first = "", size = ""] = line.trim().split(":");
      const isRange = /^\d+$/.test(first) && /^[1-9]\d*$/.test(size);
      return isRange && !owner.startsWith("#") ? { owner, first: Number(first), size: Number(size) } : [];
    });
}

const rangeSize = 65536;

/** A system user with ranges of its own, made by the host's own tools as moby makes it. */
export function addRangesUser(name: string): Account {
  try {
    addUser(name);
  } catch (error) {
    throw new Error(`error adding user "${name}": ${described(error)}`, { cause: error });
  }
  const user = findAccount("passwd", name);
  grant("/etc/subuid", "-v", user);
  grant("/etc/subgid", "-w", user);
  return user;
}

function addUser(name: string): void {
  const quiet = ["--no-create-home", "--disabled-login", "--disabled-password"];
  try {
    runAtStart("adduser", ["--system", "--shell", "/bin/false", ...quiet, "--group", name]);
  } catch (error) {
    if (!(error instanceof ProgramError) || error.exitCode !== undefined) throw error;
    runAtStart("useradd", ["-r", "-s", "/bin/false", name]);
  }
}

/** The host's tools may have done it by themselves. */
function grant(file: RangeFile, flag: string, user: Account): void {
  if (grantedIds(file, user).length > 0) return;
  const first = firstFree(readRanges(file));
  try {
    runAtStart("usermod", [flag, `${first}-${first + rangeSize - 1}`, user.name]);
  } catch (error) {
    const what = file === "/etc/subuid" ? "subuid" : "subgid";
    const reason = `unable to add ${what} range to user: "${user.name}"; ${described(error)}`;
    throw new Error(`couldn't create subordinate ID ranges: ${reason}`, { cause: error });
  }
}

function firstFree(ranges: readonly SubordinateRange[]): number {
  let start = 100_000;
  for (const { first, size } of ranges.toSorted((a, b) => a.first - b.first)) {
    if (start <= first + size && start + rangeSize >= first) start = first + size;
  }
  return start;
}

const described = (error: unknown): string =>
  error instanceof ProgramError ? `${error.message}; output: ${goQuote(error.output)}` : String(error);
