import { randomUUID } from "node:crypto";
import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, open, stat, unlink } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { errnoOf } from "#base/errors";

/** One file of a log: the current one, or a rotated one, perhaps compressed. */
export class LogFile {
  /** Of the plain file, by which it is known again. */
  readonly identity: string;
  /** As it is stored. */
  readonly handle: FileHandle;
  readonly #path: string;
  #plain: Promise<FileHandle> | undefined;

  constructor(path: string, handle: FileHandle, identity: string) {
    this.#path = path;
    this.handle = handle;
    this.identity = identity;
  }

  /** Its entries: of a compressed file in a copy without a name, which is made once and is there until this is closed. */
  plain(): Promise<FileHandle> {
    this.#plain ??= isPacked(this.#path) ? unpack(this, this.#path) : Promise.resolve(this.handle);
    return this.#plain;
  }

  async close(): Promise<void> {
    const plain = await this.#plain?.catch(() => undefined);
    await Promise.all([this.handle.close(), plain !== this.handle && plain?.close()]);
  }
}

const isPacked = (path: string): boolean => path.endsWith(".gz");

const unpackSize = 128 << 10;

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
  return new LogFile(path, handle, (isPacked(path) ? await plainIdentity(handle) : undefined) ?? identity);
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
  await Promise.all(files.map((file) => file.close()));
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

async function unpack(file: LogFile, path: string): Promise<FileHandle> {
  const { O_RDWR, O_CREAT, O_EXCL } = constants;
  const name = `${path}.${randomUUID()}`;
  const plain = await open(name, O_RDWR | O_CREAT | O_EXCL, 0o600);
  try {
    await unlink(name);
    await pipeline(storedBytes(file, unpackSize), createGunzip({ chunkSize: unpackSize }), async (chunks) => {
      for await (const chunk of chunks) await plain.writeFile(chunk);
    });
    return plain;
  } catch (error) {
    await plain.close();
    throw error;
  }
}
