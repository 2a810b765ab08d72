import { bind, check, cstring, type PathBytes } from "./call.ts";
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, S_IFDIR, S_IFMT, type Timestamp } from "./files.ts";

export interface FileStat {
  /** Type and permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly ino: bigint;
  readonly nlink: number;
  readonly sizeBytes: number;
  readonly blocks: number;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Of a device node: which device it is. */
  readonly rdevMajor: number;
  readonly rdevMinor: number;
  /** Tells mounts apart where st_dev does not (overlay gives every layer a device of its own). 0 before Linux 5.8. */
  readonly mountId: bigint;
  readonly atime: Timestamp;
  readonly mtime: Timestamp;
  readonly ctime: Timestamp;
}

const STATX_BASIC_STATS = 0x7ff;
const STATX_MNT_ID = 0x1000;
const sysStatx = bind("statx", "int", ["int", "void *", "int", "uint", "void *"]);

/** statx(2): the offsets are those of struct statx in linux/stat.h, the same on every architecture. */
export function statx(dirfd: number, path: PathBytes, flags: number = AT_SYMLINK_NOFOLLOW): FileStat {
  const raw = Buffer.alloc(256);
  check(sysStatx(dirfd, cstring(path, "statx"), flags, STATX_BASIC_STATS | STATX_MNT_ID, raw), "statx", path);
  const time = (at: number): Timestamp => ({
    seconds: Number(raw.readBigInt64LE(at)),
    nanoseconds: raw.readUInt32LE(at + 8),
  });
  return {
    nlink: raw.readUInt32LE(16),
    uid: raw.readUInt32LE(20),
    gid: raw.readUInt32LE(24),
    mode: raw.readUInt16LE(28),
    ino: raw.readBigUInt64LE(32),
    sizeBytes: Number(raw.readBigUInt64LE(40)),
    blocks: Number(raw.readBigUInt64LE(48)),
    atime: time(64),
    ctime: time(96),
    mtime: time(112),
    rdevMajor: raw.readUInt32LE(128),
    rdevMinor: raw.readUInt32LE(132),
    deviceMajor: raw.readUInt32LE(136),
    deviceMinor: raw.readUInt32LE(140),
    mountId: raw.readBigUInt64LE(144),
  };
}

/** What `fd` itself is open on, O_PATH descriptors included. */
export const fstat = (fd: number): FileStat => statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);

export const isType = (stat: FileStat, type: number): boolean => (stat.mode & S_IFMT) === type;
export const isDirectory = (stat: FileStat): boolean => isType(stat, S_IFDIR);

export interface DirectoryEntry {
  readonly name: Buffer;
  readonly ino: bigint;
  /** DT_ value of readdir(3); 0 where the file system does not tell. */
  readonly type: number;
}

export const DT_DIR = 4;

const sysGetdents = bind("getdents64", "long", ["int", "void *", "ulong"]);

/** The entries of the directory that `fd` is open on, without `.` and `..`, in the file system's order. Reads from the fd's position. */
export function* readDirectory(fd: number): Generator<DirectoryEntry, void> {
  for (;;) {
    const raw = Buffer.allocUnsafe(32768);
    const length = check(sysGetdents(fd, raw, raw.length), "getdents64");
    if (length === 0) return;
    yield* parseEntries(raw.subarray(0, length));
  }
}

function* parseEntries(raw: Buffer): Generator<DirectoryEntry, void> {
  for (let at = 0; at < raw.length; at += raw.readUInt16LE(at + 16)) {
    const end = raw.indexOf(0, at + 19);
    const name = raw.subarray(at + 19, end);
    if (isDots(name)) continue;
    yield { name, ino: raw.readBigUInt64LE(at), type: raw.readUInt8(at + 18) };
  }
}

function isDots(name: Buffer): boolean {
  if (name[0] !== 0x2e || name.length > 2) return false;
  return name.length === 1 || name[1] === 0x2e;
}
