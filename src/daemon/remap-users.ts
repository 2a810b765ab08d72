/** `--userns-remap`: whose subordinate ids containers get, and a data root of its own for them (moby daemon_unix.go). */

import { chmodSync, chownSync, existsSync, mkdirSync, statSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf, messageOf } from "#base/errors";
import { type IdMappings, inverse, rootOf } from "#base/id-mappings";
import { goQuote } from "#base/strconv";
import type { UserRemap } from "#engine";
import { MNT_DETACH, umount2 } from "#native";
import type { Spawner } from "#runtime";
import {
  type Account,
  addRangesUser,
  type Database,
  findAccount,
  grantedIds,
  type RangeFile,
} from "./accounts-of-host.ts";
import type { DaemonConfig } from "./config/config.ts";

/** The user that "default" makes. */
const defaultUser = "dockremap";

/**
 * The configuration with the ids in it, and with the data root of these ids: containers, images and volumes of others are not seen
 * there. Throws in moby's words. `mayMakeUser`: "default" may make one.
 */
export function withRemappedUsers(config: DaemonConfig, options: { readonly mayMakeUser: boolean }): DaemonConfig {
  if (config.usernsRemap === "") return config;
  const user = parseRemap(config.usernsRemap, options);
  // Root cannot be mapped to itself: moby turns the option off, and warns.
  if (user.name === "root") return { ...config, usernsRemap: "" };
  const idMappings = mappingsOf(user);
  const { uid, gid } = rootOf(idMappings);
  return { ...config, dataRoot: join(config.dataRoot, `${uid}.${gid}`), idMappings };
}

/** `user`, `user:group`, `uid` or `uid:gid`. The group has to be there; the ranges are the user's. */
function parseRemap(text: string, { mayMakeUser }: { readonly mayMakeUser: boolean }): Account {
  const [userPart = "", groupPart, ...more] = text.split(":");
  if (more.length > 0) {
    throw new Error(`Invalid user/group specification in --userns-remap: ${goQuote(text)}`);
  }
  const uid = idOf(userPart);
  const user = uid === undefined ? findUser(userPart, mayMakeUser) : numericUser(uid);
  if (groupPart !== undefined) checkGroup(groupPart);
  else if (uid !== undefined) lookUp("group", uid, `Gid ${uid} has no entry in /etc/group`);
  else lookUp("group", user.name, `Error during gid lookup for "${user.name}"`);
  return user;
}

const numericUser = (uid: number): Account => lookUp("passwd", uid, `Uid ${uid} has no entry in /etc/passwd`);

function findUser(asked: string, mayMakeUser: boolean): Account {
  if (asked !== "default") return lookUp("passwd", asked, `Error during uid lookup for "${asked}"`);
  try {
    return findAccount("passwd", defaultUser);
  } catch (error) {
    if (!mayMakeUser) throw error;
  }
  try {
    return addRangesUser(defaultUser);
  } catch (error) {
    throw new Error(`Error during "${defaultUser}" user creation: ${messageOf(error)}`, { cause: error });
  }
}

function checkGroup(group: string): void {
  const gid = idOf(group);
  if (gid === undefined) lookUp("group", group, `Error during groupname lookup for "${group}"`);
  else lookUp("group", gid, `Gid ${gid} has no entry in /etc/passwd`);
}

const idOf = (text: string): number | undefined => {
  const id = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  return Math.abs(id) < 2 ** 31 ? id : undefined;
};

function lookUp(database: Database, key: string | number, failure: string): Account {
  try {
    return findAccount(database, key);
  } catch (error) {
    throw new Error(`${failure}: ${messageOf(error)}`, { cause: error });
  }
}

function mappingsOf(user: Account): IdMappings {
  const granted = (file: RangeFile) => {
    const ranges = grantedIds(file, user);
    if (ranges.length === 0) throw new Error(`no subuid ranges found for user "${user.name}"`);
    return ranges;
  };
  try {
    return { uids: granted("/etc/subuid"), gids: granted("/etc/subgid") };
  } catch (error) {
    throw new Error(`Can't create ID mappings: ${messageOf(error)}`, { cause: error });
  }
}

/** Where the daemon keeps the namespaces that id-mapped mounts take their ids from. */
const namespacesOf = ({ execRoot }: DaemonConfig) => ({
  forward: join(execRoot, "ids"),
  inverse: join(execRoot, "ids-inverse"),
});

export const userRemapOf = (config: DaemonConfig): UserRemap | undefined =>
  config.idMappings && {
    mappings: config.idMappings,
    root: rootOf(config.idMappings),
    inverse: namespacesOf(config).inverse,
  };

/**
 * Makes these namespaces, and the way to the containers' roots for the containers' root. Returns the path of the user namespace for
 * the storage.
 */
export async function holdRemappedIds(
  config: DaemonConfig,
  spawner: Spawner,
): Promise<(AsyncDisposable & { userNamespace: string }) | undefined> {
  const { idMappings, execRoot } = config;
  if (idMappings === undefined) return undefined;
  const { forward, inverse: backward } = namespacesOf(config);
  checkWayTo(execRoot, idMappings);
  for (const folder of [execRoot, join(execRoot, "containers")]) openTo(folder, idMappings);
  removeNamespaces([forward, backward]);
  await spawner.makeNamespaces({ user: forward, mappings: idMappings });
  await spawner.makeNamespaces({ user: backward, mappings: inverse(idMappings) });
  return { userNamespace: forward, [Symbol.asyncDispose]: async () => removeNamespaces([forward, backward]) };
}

/** The runtime goes to a container's root as its root. */
function checkWayTo(folder: string, idMappings: IdMappings): void {
  const { gid } = rootOf(idMappings);
  for (let parent = dirname(folder); parent !== "/"; parent = dirname(parent)) {
    const stat = statSync(parent);
    if ((stat.mode & 0o001) !== 0 || (stat.gid === gid && (stat.mode & 0o010) !== 0)) continue;
    const reason = `a subdirectory in your exec root path (${folder}) restricts access to the remapped root uid/gid`;
    throw new Error(`${reason}; please fix by allowing 'o+x' permissions on existing directories`);
  }
}

function removeNamespaces(paths: readonly string[]): void {
  for (const path of paths) {
    if (!existsSync(path)) continue;
    try {
      umount2(path, MNT_DETACH);
    } catch (error) {
      if (errnoOf(error) !== "EINVAL") throw error;
    }
    unlinkSync(path);
  }
}

/** The way to the files that containers are given: nobody on the host but the containers' root may go it. */
export function openDataRoot({ dataRoot, idMappings }: DaemonConfig): void {
  if (idMappings === undefined) return;
  for (const folder of [dirname(dataRoot), dataRoot]) openTo(folder, idMappings);
}

/** Makes it where there is none. */
export function openTo(folder: string, idMappings: IdMappings): void {
  mkdirSync(folder, { recursive: true, mode: 0o710 });
  chownSync(folder, 0, rootOf(idMappings).gid);
  chmodSync(folder, 0o710);
}
