import { createReadStream } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { Readable } from "node:stream";
import { errnoOf } from "#base/errors";
import type { Digest } from "#base/ids";
import { passing } from "../garbage.ts";
import { checkSpace } from "../space.ts";
import type { Blob, ResumableIngest } from "../types.ts";
import { ContentCheck } from "./check.ts";

/** Names a complete, synced file as the blob that it is. */
export type Commit = (path: string, blob: Blob) => Promise<Blob>;

/** A partial file, named by the digest that it is to have. It outlives failures of the network and of the daemon. */
export class PartialBlob implements ResumableIngest {
  readonly #digest: Digest;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #commit: Commit;
  readonly #released: () => void;
  #offset: number;

  private constructor(
    digest: Digest,
    path: string,
    parts: { file: FileHandle; offset: number; commit: Commit; released: () => void },
  ) {
    this.#digest = digest;
    this.#path = path;
    this.#file = parts.file;
    this.#offset = parts.offset;
    this.#commit = parts.commit;
    this.#released = parts.released;
  }

  static async open(digest: Digest, path: string, commit: Commit, released: () => void): Promise<PartialBlob> {
    const file = await openPartial(path);
    const { size } = await file.stat();
    return new PartialBlob(digest, path, { file, offset: size, commit, released });
  }

  get offset(): number {
    return this.#offset;
  }

  async append(
    stream: Readable,
    options: { sizeBytes?: number; mediaType?: string; signal?: AbortSignal },
  ): Promise<Blob> {
    const check = new ContentCheck({ digest: this.#digest, sizeBytes: options.sizeBytes });
    try {
      await this.#rehash(check);
      await this.#receive(stream, check, options.signal);
      check.finish();
    } catch (error) {
      const code = errnoOf(error);
      if (code === "EDIGEST" || code === "ESIZE") await this.#truncate();
      throw error;
    }
    await this.#file.sync();
    const { mediaType = "" } = options;
    return this.#commit(this.#path, { digest: this.#digest, sizeBytes: check.sizeBytes, mediaType });
  }

  async discard(): Promise<void> {
    await this.#truncate();
    await rm(this.#path, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
    this.#released();
  }

  /** The sum cannot be stored half-done, so what is here is read again. */
  async #rehash(check: ContentCheck): Promise<void> {
    if (this.#offset === 0) return;
    for await (const chunk of createReadStream(this.#path, { end: this.#offset - 1, highWaterMark: 1 << 20 })) {
      check.update(chunk);
    }
  }

  async #receive(stream: Readable, check: ContentCheck, signal: AbortSignal | undefined): Promise<void> {
    const room = new Room(this.#path);
    for await (const chunk of abortable(stream, signal)) {
      check.update(chunk);
      room.take(chunk.length);
      await writeAll(this.#file, chunk, this.#offset);
      this.#offset += chunk.length;
    }
  }

  async #truncate(): Promise<void> {
    await this.#file.truncate(0);
    this.#offset = 0;
  }
}

const reserveBytes = 8 << 20;
const checkEveryBytes = 4 << 20;

/** What one blob may take of the disk. */
export class Room {
  readonly #path: string;
  #left = 0;

  constructor(path: string) {
    this.#path = path;
  }

  take(bytes: number): void {
    this.#left -= bytes;
    if (this.#left >= 0) return;
    checkSpace(dirname(this.#path), reserveBytes);
    this.#left = checkEveryBytes;
  }
}

async function openPartial(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r+");
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    return await open(path, "wx+", 0o600);
  }
}

/** The stream is destroyed in any case; when the signal fires, the loop over it throws the signal's reason. */
export async function* abortable(stream: Readable, signal: AbortSignal | undefined): AsyncGenerator<Buffer, void> {
  const abort = (): unknown => stream.destroy(signal?.reason instanceof Error ? signal.reason : new Error("aborted"));
  signal?.addEventListener("abort", abort, { once: true });
  try {
    signal?.throwIfAborted();
    yield* passing(stream);
  } finally {
    signal?.removeEventListener("abort", abort);
    stream.destroy();
  }
}

export async function writeAll(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, at, chunk.length - at, position + at);
    at += bytesWritten;
  }
}
