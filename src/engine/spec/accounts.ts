/** Who a container's process is: `-u`, USER and --group-add against the image's passwd and group (moby/sys/user). */
import type { User } from "#runtime";

/** A regular file below the container's root, or undefined. The caller resolves it safely and bounds its size. */
export type ReadFile = (path: string) => Buffer | undefined;

interface Account {
  readonly name: string;
  /** undefined where the field is no id: such a line can be found by its name, and then fails. */
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly home: string;
}

interface Group {
  readonly name: string;
  readonly gid: number | undefined;
  readonly members: readonly string[];
}

const maxId = 2 ** 31 - 1;
const rangeError = (): Error => new Error("uids and gids must be in range 0-2147483647");

/**
 * The user of `spec`: "", "name", "uid", "user:group" in any mixture. Digits are always an id and never looked up as a name
 * (CVE-2024-40635), and an id that is out of range is refused, wherever it stands.
 */
export function resolveUser(spec: string, groupAdd: readonly string[], readFile: ReadFile): User {
  const [userPart = "", ...rest] = spec.split(":");
  const groupPart = rest.join(":");
  const accounts = parseAccounts(readFile("/etc/passwd"));
  const groups = parseGroups(readFile("/etc/group"));
  const account = findAccount(userPart, accounts);
  const uid = account?.uid ?? numericId(userPart === "" ? "0" : userPart);
  if (uid === undefined) {
    if (account !== undefined) throw rangeError();
    throw new Error(`unable to find user ${userPart}: no matching entries in passwd file`);
  }
  const gid = groupPart === "" ? primaryGroup(account) : namedGroup(groupPart, groups);
  const memberships = groupPart === "" && account !== undefined ? groupsOf(account.name, groups) : [];
  return { uid, gid, additionalGids: [gid, ...memberships, ...additionalGroups(groupAdd, groups)] };
}

/** Where a user is at home, for HOME: the first account with this uid, or the root directory. */
export function homeOf(uid: number, readFile: ReadFile): string {
  const home = parseAccounts(readFile("/etc/passwd")).find((account) => account.uid === uid)?.home;
  return home === undefined || home === "" ? "/" : home;
}

function findAccount(userPart: string, accounts: readonly Account[]): Account | undefined {
  if (userPart === "") return accounts.find((account) => account.uid === 0);
  const uid = numericId(userPart);
  return accounts.find((account) => (uid === undefined ? account.name === userPart : account.uid === uid));
}

function primaryGroup(account: Account | undefined): number {
  if (account === undefined) return 0;
  if (account.gid === undefined) throw rangeError();
  return account.gid;
}

function namedGroup(groupPart: string, groups: readonly Group[]): number {
  const numeric = numericId(groupPart);
  if (numeric !== undefined) return numeric;
  const group = groups.find((candidate) => candidate.name === groupPart);
  if (group === undefined) throw new Error(`unable to find group ${groupPart}: no matching entries in group file`);
  if (group.gid === undefined) throw rangeError();
  return group.gid;
}

const groupsOf = (name: string, groups: readonly Group[]): number[] =>
  groups.filter((group) => group.members.includes(name)).flatMap((group) => group.gid ?? []);

function additionalGroups(wanted: readonly string[], groups: readonly Group[]): number[] {
  const gids = wanted.map((text) => {
    const group = groups.find((candidate) => candidate.name === text);
    const gid = group === undefined ? numericId(text) : group.gid;
    if (gid !== undefined) return gid;
    if (group !== undefined) throw rangeError();
    throw new Error(`unable to find group ${text}: no matching entries in group file`);
  });
  return [...new Set(gids)];
}

/** undefined for what is no number; throws for a number that is no id. */
function numericId(text: string): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  const id = Number(text);
  if (id < 0 || id > maxId) throw rangeError();
  return Math.abs(id);
}

/** Of a line in passwd or group; undefined when it is no id that this engine gives to a process. */
const idField = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+$/.test(text) && Number(text) <= maxId ? Number(text) : undefined;

function parseAccounts(file: Buffer | undefined): Account[] {
  return lines(file).map((line) => {
    const [name = "", , uid, gid, , home = ""] = line.split(":");
    return { name, uid: idField(uid), gid: idField(gid), home };
  });
}

function parseGroups(file: Buffer | undefined): Group[] {
  return lines(file)
    .filter((line) => !line.startsWith("#"))
    .map((line) => {
      const [name = "", , gid, members = ""] = line.split(":");
      return { name, gid: idField(gid), members: members.split(",") };
    });
}

const lines = (file: Buffer | undefined): string[] =>
  (file?.toString("utf8") ?? "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
