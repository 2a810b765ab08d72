import { closeSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { errnoOf } from "#base/errors";
import { O_DIRECTORY, O_PATH, type PathBytes, type Pipe, pipe2, setPipeSize } from "#native";
import { passing } from "../garbage.ts";
import type { Archive, PackOptions, UnpackOptions } from "../types.ts";
import type { WorkerPool } from "../workers/pool.ts";
import { decompress } from "./compression.ts";

/**
 * The main thread's ends of the streams. Bytes go through a pipe: the worker's end blocks, ours does not, and closing ours is
 * how a job is cancelled.
 */
export class TreeArchive implements Archive {
  readonly #pool: WorkerPool;

  constructor(pool: WorkerPool) {
    this.#pool = pool;
  }

  pack(rootFd: number, path: PathBytes, options: PackOptions = {}): Readable {
    return Readable.from(this.#packed(rootFd, path, options), { objectMode: false });
  }

  /** Of a directory of ours, by its path. */
  packDirectory(directory: string, options: PackOptions): Readable {
    return Readable.from(this.#packedDirectory(directory, options), { objectMode: false });
  }

  async unpack(rootFd: number, path: PathBytes, tar: Readable, options: UnpackOptions = {}): Promise<void> {
    const { signal, key, ...rest } = options;
    const { readFd, writeFd } = openPipe();
    const input = new Socket({ fd: writeFd, readable: false, writable: true });
    const job = { kind: "unpack", rootFd, path: bytesOf(path), options: rest, inFd: readFd } as const;
    const done = this.#pool.run<"unpack">(job, { key }).finally(() => closeSync(readFd));
    const fed = pipeline(decompress(tar), input, signal === undefined ? {} : { signal });
    const [work, feed] = await Promise.allSettled([done, fed]);
    // When the source failed, the worker saw an archive that ended too early: the source's error is the one that counts.
    if (feed.status === "rejected" && !isBrokenPipe(feed.reason)) throw feed.reason;
    if (work.status === "rejected") throw work.reason;
  }

  async populate(targetFd: number, sourceFd: number): Promise<void> {
    await this.#pool.run<"populate">({ kind: "populate", targetFd, sourceFd });
  }

  measure(directory: string, signal?: AbortSignal): Promise<number> {
    return this.#pool.run<"measure">({ kind: "measure", directory }, { signal });
  }

  async *#packedDirectory(directory: string, options: PackOptions): AsyncGenerator<Buffer, void> {
    const fd = openSync(directory, O_PATH | O_DIRECTORY);
    try {
      yield* this.#packed(fd, ".", options);
    } finally {
      closeSync(fd);
    }
  }

  async *#packed(rootFd: number, path: PathBytes, options: PackOptions): AsyncGenerator<Buffer, void> {
    const { readFd, writeFd } = openPipe();
    const output = new Socket({ fd: readFd, readable: true, writable: false });
    const job = { kind: "pack", rootFd, path: bytesOf(path), options, outFd: writeFd } as const;
    // Not by the job: it may come to no thread, or lose it.
    const done = this.#pool.run<"pack">(job, { key: options.key }).finally(() => closeSync(writeFd));
    // Awaited below in any case; until then a failure must not count as unhandled.
    done.catch(() => undefined);
    let isWhole = false;
    try {
      yield* passing(output);
      isWhole = true;
    } finally {
      output.destroy();
      // The root's descriptor is the caller's again when we return: the worker must have let go of it.
      if (!isWhole) await done.catch(() => undefined);
    }
    await done;
  }
}

const pipeBytes = 1 << 20;

function openPipe(): Pipe {
  const pipe = pipe2();
  try {
    setPipeSize(pipe.writeFd, pipeBytes);
  } catch (error) {
    // Above the user's limit (fs.pipe-user-pages-soft): the default size works too.
    if (errnoOf(error) !== "EPERM") throw error;
  }
  return pipe;
}

const bytesOf = (path: PathBytes): Uint8Array => (typeof path === "string" ? Buffer.from(path) : path);

const isBrokenPipe = (error: unknown): boolean => errnoOf(error) === "EPIPE" || errnoOf(error) === "ECONNRESET";
