import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { errnoOf } from "#base/errors";

/** One file of a json-file log: the current one, or a rotated one, perhaps compressed. */
export interface LogFile {
  readonly handle: FileHandle;
  readonly isCompressed: boolean;
  /** Of the plain file, by which followers know it again. */
  readonly identity: string;
}

/** Many may read compressed files at once, and what they drop is garbage: little of it, then. */
const packedSize = 16 << 10;

/** Not through a symlink: what a log file is called is known to containers that share the host's mounts (CVE-2026-53489). */
export async function openLog(path: string): Promise<LogFile | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
  const identity = identify(await handle.stat({ bigint: true }));
  if (!path.endsWith(".gz")) return { handle, identity, isCompressed: false };
  return { handle, identity: (await plainIdentity(handle)) ?? identity, isCompressed: true };
}

/** The one that was rotated `age` times, whichever form it has now. */
export async function openAged(path: string, age: number): Promise<LogFile | undefined> {
  if (age === 0) return openLog(path);
  return (await openLog(`${path}.${age}`)) ?? (await openLog(`${path}.${age}.gz`));
}

/** RFC 1952 with an extra field in JSON, which is what dockerd looks for there too. */
export function gzipHeader(identity: string): Buffer {
  const extra = Buffer.from(JSON.stringify({ identity }));
  return Buffer.from([0x1f, 0x8b, 8, gzipExtra, 0, 0, 0, 0, 0, 255, extra.length, 0, ...extra]);
}

const gzipExtra = 4;

async function plainIdentity(handle: FileHandle): Promise<string | undefined> {
  const { buffer } = await handle.read(Buffer.alloc(256), 0, 256, 0);
  if (buffer[3] !== gzipExtra) return undefined;
  const extra = buffer.toString("latin1", 12, 12 + buffer.readUInt16LE(10));
  return /"identity":"([\d:]+)"/.exec(extra)?.[1];
}

/**
 * The log's files, oldest first and numbered without gaps, as they were at one moment: the shim may rotate while they are opened, which shows in the
 * file behind `path`. The caller owns the handles.
 */
export async function openLogs(path: string): Promise<LogFile[]> {
  for (;;) {
    const current = await openLog(path);
    const files = current === undefined ? [] : [current];
    for (let n = 1; ; n++) {
      const rotated = await openAged(path, n);
      if (rotated === undefined) break;
      files.unshift(rotated);
    }
    if ((await identityOf(path)) === current?.identity) return files;
    await closeLogs(files);
  }
}

export async function closeLogs(files: readonly LogFile[]): Promise<void> {
  await Promise.all(files.map(({ handle }) => handle.close()));
}

/** The kernel's clock for files ticks more slowly than the one for entries. */
const clockSlackNs = 1_000_000_000n;

export async function wasCompleteBefore({ handle }: LogFile, ns: bigint): Promise<boolean> {
  return (await handle.stat({ bigint: true })).mtimeNs + clockSlackNs < ns;
}

/** A file's number alone would be given to the next one as soon as it is free. */
const identify = ({ ino, birthtimeNs }: BigIntStats): string => `${ino}:${birthtimeNs}`;

/** undefined if there is no such file. */
export async function identityOf(path: string): Promise<string | undefined> {
  try {
    return identify(await stat(path, { bigint: true }));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** The file as it is, in chunks of that size that stay valid. */
export async function* storedBytes({ handle }: LogFile, size: number): AsyncGenerator<Buffer> {
  for (let position = 0; ; ) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(size), 0, size, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** The plain bytes of a compressed file. The handle stays the caller's, which a stream of its own would close. */
export async function* decompressed(file: LogFile): AsyncGenerator<Buffer> {
  const packed = Readable.from(storedBytes(file, packedSize), { objectMode: false, highWaterMark: packedSize });
  const plain = createGunzip({ chunkSize: 4 * packedSize });
  packed.on("error", (error) => plain.destroy(error));
  try {
    yield* packed.pipe(plain);
  } finally {
    packed.destroy();
    plain.destroy();
  }
}
