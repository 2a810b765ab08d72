import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { errnoOf } from "#base/errors";

/** One file of a json-file log: the current one, or a rotated one, perhaps compressed. */
export interface LogFile {
  readonly handle: FileHandle;
  readonly isCompressed: boolean;
  /** Of the plain file, which is how followers know it again. */
  readonly inode: bigint;
}

export const blockSize = 256 << 10;
const newline = 0x0a;

/** Not through a symlink: what a log file is called is known to containers that share the host's mounts (CVE-2026-53489). */
export async function openLog(path: string): Promise<LogFile | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
  const { ino: inode } = await handle.stat({ bigint: true });
  if (!path.endsWith(".gz")) return { handle, inode, isCompressed: false };
  return { handle, inode: (await plainInode(handle)) ?? inode, isCompressed: true };
}

/** One that was rotated, whichever form it has now. */
export async function openRotated(path: string, age: number): Promise<LogFile | undefined> {
  return (await openLog(`${path}.${age}`)) ?? (await openLog(`${path}.${age}.gz`));
}

/** RFC 1952 with an extra field in JSON, which is what dockerd looks for there too. */
export function gzipHeader(inode: bigint): Buffer {
  const extra = Buffer.from(JSON.stringify({ inode: String(inode) }));
  return Buffer.from([0x1f, 0x8b, 8, gzipExtra, 0, 0, 0, 0, 0, 255, extra.length, 0, ...extra]);
}

const gzipExtra = 4;

async function plainInode(handle: FileHandle): Promise<bigint | undefined> {
  const { buffer } = await handle.read(Buffer.alloc(256), 0, 256, 0);
  if (buffer[3] !== gzipExtra) return undefined;
  const extra = buffer.toString("latin1", 12, 12 + buffer.readUInt16LE(10));
  const digits = /"inode":"(\d+)"/.exec(extra)?.[1];
  return digits === undefined ? undefined : BigInt(digits);
}

/**
 * The log's files, oldest first and numbered without gaps, as they were at one moment: the shim may rotate while they are opened, which shows in the
 * inode behind `path`. The caller owns the handles.
 */
export async function openLogs(path: string): Promise<LogFile[]> {
  for (;;) {
    const current = await openLog(path);
    const files = current === undefined ? [] : [current];
    for (let n = 1; ; n++) {
      const rotated = await openRotated(path, n);
      if (rotated === undefined) break;
      files.unshift(rotated);
    }
    if ((await inodeOf(path)) === current?.inode) return files;
    await closeLogs(files);
  }
}

export async function closeLogs(files: readonly LogFile[]): Promise<void> {
  await Promise.all(files.map(({ handle }) => handle.close()));
}

/** undefined if there is no such file. */
export async function inodeOf(path: string): Promise<bigint | undefined> {
  try {
    return (await stat(path, { bigint: true })).ino;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Bytes of a file from `offset` to where it ends now. Each chunk is valid until the next one is asked for. */
export function readFrom(file: LogFile, offset: number): AsyncIterable<Uint8Array> {
  if (file.isCompressed) return decompress(file);
  const block = Buffer.allocUnsafe(blockSize);
  return blocks(file, offset, () => block);
}

/** The file as it is, in chunks that stay valid. */
export const storedBytes = (file: LogFile): AsyncGenerator<Uint8Array> =>
  blocks(file, 0, () => Buffer.allocUnsafe(blockSize));

async function* blocks(file: LogFile, offset: number, allocate: () => Buffer): AsyncGenerator<Uint8Array> {
  for (let position = offset; ; ) {
    const block = allocate();
    const { bytesRead } = await file.handle.read(block, 0, block.length, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield block.subarray(0, bytesRead);
  }
}

/** The handle stays the caller's, which a stream of its own would close. */
async function* decompress(file: LogFile): AsyncGenerator<Uint8Array> {
  const packed = Readable.from(storedBytes(file));
  const plain = createGunzip({ chunkSize: blockSize });
  packed.on("error", (error) => plain.destroy(error));
  try {
    yield* packed.pipe(plain);
  } finally {
    packed.destroy();
    plain.destroy();
  }
}

/** Where in a file its last lines begin. `lines` is how many that are: as many as were asked for, or all there are. */
export interface Tail {
  readonly file: LogFile;
  /** Byte position; always 0 in a compressed file, where `skippedLines` says how far to go. */
  readonly offset: number;
  readonly skippedLines: number;
  readonly lines: number;
}

/** The last `count` lines of a file, found from its end block by block. An unfinished last line is not counted. */
export async function findTail(file: LogFile, count: number): Promise<Tail> {
  if (file.isCompressed) return findCompressedTail(file, count);
  const block = Buffer.allocUnsafe(blockSize);
  let found = 0;
  for (let end = (await file.handle.stat()).size; end > 0; ) {
    const start = Math.max(0, end - block.length);
    const { bytesRead } = await file.handle.read(block, 0, end - start, start);
    for (let at = previousNewline(block, bytesRead); at >= 0; at = previousNewline(block, at)) {
      if (found === count) return { file, offset: start + at + 1, skippedLines: 0, lines: found };
      found++;
    }
    end = start;
  }
  return { file, offset: 0, skippedLines: 0, lines: found };
}

/** The newline before `end`. (lastIndexOf(…, −1) would look at the last byte.) */
function previousNewline(block: Uint8Array, end: number): number {
  return end === 0 ? -1 : block.lastIndexOf(newline, end - 1);
}

async function findCompressedTail(file: LogFile, count: number): Promise<Tail> {
  let total = 0;
  for await (const chunk of readFrom(file, 0)) {
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, at + 1)) total++;
  }
  return { file, offset: 0, skippedLines: Math.max(0, total - count), lines: Math.min(total, count) };
}

/** The bytes behind the first `count` newlines. */
export async function* skipLines(chunks: AsyncIterable<Uint8Array>, count: number): AsyncGenerator<Uint8Array> {
  let left = count;
  for await (const chunk of chunks) {
    let start = 0;
    for (; left > 0; left--) {
      const at = chunk.indexOf(newline, start);
      if (at < 0) break;
      start = at + 1;
    }
    if (left === 0 && start < chunk.length) yield chunk.subarray(start);
  }
}
