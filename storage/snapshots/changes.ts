import { closeSync } from "node:fs";
import { errnoOf } from "#base/errors";
import {
  AT_FDCWD,
  type FileStat,
  fdPath,
  getxattr,
  isDirectory,
  isType,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  openat2,
  readDirectory,
  S_IFCHR,
  statx,
} from "#native";
import { PlaceError } from "../archive/failure.ts";
import { PATH_MAX } from "../archive/paths.ts";
import { ifThere } from "../archive/tree.ts";
import { opaqueXattr } from "../layers/whiteouts.ts";
import { type Change, changeKinds } from "../types.ts";

/**
 * What a container changed, as moby's naive diff of the merged tree and its parent says (go-archive, FileInfo.addChanges), but
 * found by walking only the writable layer. `lowerFd` is the parent's merged tree, undefined without one.
 */
export function findChanges(upper: string, lowerFd: number | undefined): Change[] {
  const upperFd = openat2(AT_FDCWD, upper, { flags: O_RDONLY | O_DIRECTORY });
  try {
    return changesIn({ upperFd, lowerFd, path: "", isInsideOpaque: false });
  } finally {
    closeSync(upperFd);
  }
}

interface Directory {
  readonly upperFd: number;
  /** The same directory in the parent, if it is one there. */
  readonly lowerFd: number | undefined;
  readonly path: string;
  /** A directory above hides the parent's tree: of the same directory there nothing is visible. */
  readonly isInsideOpaque: boolean;
}

function changesIn(directory: Directory): Change[] {
  const names = namesIn(directory.upperFd);
  const changes = [...names.values()].map((name) => ifThere(() => changesAt(directory, name), []));
  if (isHiding(directory)) changes.push(...hiddenIn(directory, names));
  // Sorted by the first, which is the entry itself: a directory stays before what is in it.
  return changes
    .filter((group) => group.length > 0)
    .sort((a, b) => compare(a[0]?.path ?? "", b[0]?.path ?? ""))
    .flat();
}

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

function changesAt(directory: Directory, name: Buffer): Change[] {
  const path = `${directory.path}/${name.toString("utf8")}`;
  if (path.length >= PATH_MAX) throw new PlaceError("lstat", path, "ENAMETOOLONG");
  const found = statIfThere(directory.upperFd, name);
  if (found === undefined) return [];
  const before = directory.lowerFd === undefined ? undefined : statIfThere(directory.lowerFd, name);
  if (isWhiteout(found)) return before === undefined ? [] : [{ path, kind: changeKinds.delete }];
  const own = kindOf(found, before, () => hasOtherCapability(directory, name));
  const inside = isDirectory(found) ? descend(directory, name, before) : [];
  // A directory with changes in it is itself among the changes: its permissions must be saved too.
  const kind = own ?? (inside.length > 0 ? changeKinds.modify : undefined);
  return kind === undefined ? [] : [{ path, kind }, ...inside];
}

function kindOf(found: FileStat, before: FileStat | undefined, hasOther: () => boolean): Change["kind"] | undefined {
  if (before === undefined) return changeKinds.add;
  return isDifferent(found, before) || hasOther() ? changeKinds.modify : undefined;
}

/** moby's statDifferent. Size and time of a directory say nothing. */
function isDifferent(a: FileStat, b: FileStat): boolean {
  if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid) return true;
  if (a.rdevMajor !== b.rdevMajor || a.rdevMinor !== b.rdevMinor) return true;
  if (isDirectory(a)) return false;
  return a.sizeBytes !== b.sizeBytes || !isSameTime(a, b);
}

/** moby's sameFsTime: a time without nanoseconds came through a tar that had none. */
function isSameTime(a: FileStat, b: FileStat): boolean {
  const [one, two] = [a.mtime, b.mtime];
  if (one.seconds !== two.seconds) return false;
  return one.nanoseconds === two.nanoseconds || one.nanoseconds === 0 || two.nanoseconds === 0;
}

function hasOtherCapability({ upperFd, lowerFd }: Directory, name: Buffer): boolean {
  if (lowerFd === undefined) return false;
  const [above, below] = [capability(upperFd, name), capability(lowerFd, name)];
  return above === undefined || below === undefined ? above !== below : !above.equals(below);
}

function capability(parentFd: number, name: Buffer): Buffer | undefined {
  const fd = openat2(parentFd, name, { flags: O_PATH | O_NOFOLLOW });
  try {
    return getxattr(fdPath(fd), "security.capability");
  } finally {
    closeSync(fd);
  }
}

function descend(directory: Directory, name: Buffer, before: FileStat | undefined): Change[] {
  const upperFd = openDirectory(directory.upperFd, name);
  try {
    const { lowerFd } = directory;
    const hasLower = lowerFd !== undefined && before !== undefined && isDirectory(before);
    const below = hasLower ? openDirectory(lowerFd, name) : undefined;
    try {
      return changesIn({
        upperFd,
        lowerFd: below,
        path: `${directory.path}/${name.toString("utf8")}`,
        isInsideOpaque: isHiding(directory),
      });
    } finally {
      if (below !== undefined) closeSync(below);
    }
  } finally {
    closeSync(upperFd);
  }
}

/** What an opaque directory hides and does not bring again. */
function hiddenIn(directory: Directory, names: ReadonlyMap<string, Buffer>): Change[][] {
  if (directory.lowerFd === undefined) return [];
  const hidden = [...namesIn(directory.lowerFd).values()].filter((name) => !names.has(name.toString("latin1")));
  return hidden.map((name) => [{ path: `${directory.path}/${name.toString("utf8")}`, kind: changeKinds.delete }]);
}

const openDirectory = (parentFd: number, name: Buffer): number =>
  openat2(parentFd, name, { flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW });

const namesIn = (fd: number): Map<string, Buffer> =>
  new Map([...readDirectory(fd)].map(({ name }) => [name.toString("latin1"), name]));

const isWhiteout = (stat: FileStat): boolean => isType(stat, S_IFCHR) && stat.rdevMajor === 0 && stat.rdevMinor === 0;

const isHiding = ({ upperFd, isInsideOpaque }: Directory): boolean =>
  isInsideOpaque || getxattr(fdPath(upperFd), opaqueXattr)?.toString() === "y";

function statIfThere(fd: number, name: Buffer): FileStat | undefined {
  try {
    return statx(fd, name);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
