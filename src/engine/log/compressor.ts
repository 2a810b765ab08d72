/**
 * Makes `.n.gz` of rotated files. Packed aside, then put beside the plain file, then the plain one is removed: a reader finds one of
 * the two at any moment, and who dies in between leaves the plain one, which wins. The names stand still meanwhile: the shim
 * rotates under the same flock on the folder, and goes on in its file rather than wait for it.
 */
import { constants } from "node:fs";
import { open, rename, rm, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { crc32, createDeflateRaw } from "node:zlib";
import { errnoOf } from "#base/errors";
import type { Log } from "#base/log";
import { flock, LOCK_EX, LOCK_NB } from "#native";
import { gzipHeader, identityOf, type LogFile, openLog, storedBytes } from "./files.ts";

const chunkSize = 256 << 10;

/** One log after the other, in libuv's threads. */
export class LogCompressor implements AsyncDisposable {
  readonly #log: Log;
  readonly #waiting = new Set<string>();
  readonly #stop = new AbortController();
  #work: Promise<void> | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** The log at `path` may have been rotated. */
  compress(path: string): void {
    this.#waiting.add(path);
    this.#work ??= this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#work;
  }

  async #run(): Promise<void> {
    for (const path of this.#waiting) {
      this.#waiting.delete(path);
      if (this.#stop.signal.aborted) break;
      try {
        await compressRotated(path, this.#stop.signal);
      } catch (err) {
        // The container, and its folder, may have been removed.
        const isGone = this.#stop.signal.aborted || errnoOf(err) === "ENOENT";
        if (!isGone) this.#log.warn({ path, err }, "cannot compress a rotated log");
      }
    }
    this.#work = undefined;
  }
}

export async function compressRotated(path: string, signal: AbortSignal): Promise<void> {
  const aside = `${path}.gz.tmp`;
  for (let file = await findPlain(path); file !== undefined; file = await findPlain(path)) {
    try {
      await pack(file, aside, signal);
      if (!(await putInPlace(path, file.identity, aside))) return;
    } finally {
      await file.close();
      await rm(aside, { force: true });
    }
  }
}

async function findPlain(path: string): Promise<LogFile | undefined> {
  for (let age = 1; ; age++) {
    const file = await openLog(`${path}.${age}`);
    if (file !== undefined || (await identityOf(`${path}.${age}.gz`)) === undefined) return file;
  }
}

async function pack(file: LogFile, aside: string, signal: AbortSignal): Promise<void> {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
  await using target = await open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o640);
  let [checksum, size] = [0, 0];
  async function* plain() {
    for await (const chunk of storedBytes(file, chunkSize)) {
      checksum = crc32(chunk, checksum);
      size += chunk.length;
      yield chunk;
    }
  }
  async function* packed(chunks: AsyncIterable<Uint8Array>) {
    yield gzipHeader(file.identity);
    yield* chunks;
    const trailer = Buffer.alloc(8);
    trailer.writeUInt32LE(checksum);
    trailer.writeUInt32LE(size % 2 ** 32, 4);
    yield trailer;
  }
  const write = async (chunks: AsyncIterable<Uint8Array>) => {
    for await (const chunk of chunks) await target.writeFile(chunk);
  };
  await pipeline(plain, createDeflateRaw({ chunkSize }), packed, write, { signal });
  // It is told from that whether a file can hold anything since a moment.
  const { atime, mtime } = await file.handle.stat();
  await target.utimes(atime, mtime);
  await target.sync();
}

/** False: a rotation is going on, and it will be said again that there was one. */
async function putInPlace(path: string, identity: string, aside: string): Promise<boolean> {
  await using folder = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    flock(folder.fd, LOCK_EX | LOCK_NB);
  } catch (error) {
    if (errnoOf(error) === "EAGAIN") return false;
    throw error;
  }
  for (let age = 1; ; age++) {
    const name = `${path}.${age}`;
    const found = await identityOf(name);
    if (found === identity) {
      await rename(aside, `${name}.gz`);
      await unlink(name);
      return true;
    }
    // Rotated out of being meanwhile.
    if (found === undefined && (await identityOf(`${name}.gz`)) === undefined) return true;
  }
}
