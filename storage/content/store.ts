/*
 * The order for a blob: bytes into `ingest/` under a temporary name, checked while they pass; fsync; rename to its digest;
 * fsync of the folder; row. Removed in reverse: row, sync of the log that has it, then file. A file without a row is unknown
 * and swept at start.
 */
import { randomUUID } from "node:crypto";
import { createReadStream, renameSync } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { errnoOf } from "#base/errors";
import { type Digest, isDigest, parseDigest } from "#base/ids";
import type { Database } from "../database.ts";
import type { Blob, ContentStore, IngestOptions, ResumableIngest } from "../types.ts";
import type { WalSync } from "../wal-sync.ts";
import { ContentCheck } from "./check.ts";
import { abortable, PartialBlob, Room, writeAll } from "./resume.ts";

type Row = { readonly digest: string; readonly size_bytes: number; readonly media_type: string };

const toBlob = (row: Row): Blob => ({
  digest: parseDigest(row.digest),
  sizeBytes: row.size_bytes,
  mediaType: row.media_type,
});

export class FileContentStore implements ContentStore {
  readonly #root: string;
  readonly #blobs: string;
  readonly #ingest: string;
  readonly #wal: WalSync | undefined;
  readonly #holds = new Map<Digest, number>();
  /** Digests with a partial file that somebody has open. */
  readonly #partials = new Set<Digest>();
  /** Files without a row that somebody may be about to make a blob of again. */
  readonly #leftovers = new Set<Digest>();
  readonly #find;
  readonly #list;
  readonly #insert;
  readonly #delete;

  /** For looking only; `open` makes the folders that the rest needs. */
  constructor(root: string, database: Database, wal?: WalSync) {
    this.#root = root;
    this.#wal = wal;
    this.#blobs = join(root, "blobs", "sha256");
    this.#ingest = join(root, "ingest");
    this.#find = database.prepare<[string], Row>("SELECT * FROM blobs WHERE digest = ?");
    this.#list = database.prepare<[], Row>("SELECT * FROM blobs ORDER BY digest");
    this.#insert = database.prepare(
      "INSERT INTO blobs (digest, size_bytes, media_type) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    );
    this.#delete = database.prepare("DELETE FROM blobs WHERE digest = ?");
  }

  /** Makes the folder an OCI image layout if it is not one yet. */
  static async open(root: string, database: Database, wal: WalSync): Promise<FileContentStore> {
    const store = new FileContentStore(root, database, wal);
    await mkdir(store.#blobs, { recursive: true, mode: 0o700 });
    await mkdir(store.#ingest, { recursive: true, mode: 0o700 });
    await writeIfMissing(join(root, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
    await writeIfMissing(join(root, "index.json"), indexJson([]));
    return store;
  }

  has(digest: Digest): boolean {
    return this.#find.get(digest) !== undefined;
  }

  find(digest: Digest): Blob | undefined {
    const row = this.#find.get(digest);
    return row === undefined ? undefined : toBlob(row);
  }

  list(): Blob[] {
    return this.#list.all().map(toBlob);
  }

  path(digest: Digest): string {
    return join(this.#blobs, digest.slice("sha256:".length));
  }

  read(digest: Digest, range: { start?: number; end?: number } = {}): Readable {
    return createReadStream(this.path(digest), { ...range, highWaterMark: 1 << 18 });
  }

  async readBytes(digest: Digest, maxBytes: number): Promise<Buffer> {
    await using file = await open(this.path(digest), "r");
    const { size } = await file.stat();
    if (size > maxBytes) throw Object.assign(new Error(`${digest} has ${size} bytes`), { code: "EFBIG" });
    return await file.readFile();
  }

  async ingest(source: Readable | Uint8Array, options: IngestOptions = {}, signal?: AbortSignal): Promise<Blob> {
    const path = join(this.#ingest, randomUUID());
    const stream = source instanceof Uint8Array ? Readable.from([Buffer.from(source)]) : source;
    try {
      const check = new ContentCheck(options);
      await receive(path, stream, check, signal);
      const digest = check.finish();
      return await this.#commit(path, { digest, sizeBytes: check.sizeBytes, mediaType: options.mediaType ?? "" });
    } catch (error) {
      stream.destroy();
      await rm(path, { force: true });
      throw error;
    }
  }

  /** A known blob's bytes anew, in place of its file or where it is missing. What readers have open stays as it was. */
  async restore(stream: Readable, expected: Blob, signal?: AbortSignal): Promise<void> {
    const path = join(this.#ingest, randomUUID());
    try {
      const check = new ContentCheck(expected);
      await receive(path, stream, check, signal);
      check.finish();
      await rename(path, this.path(expected.digest));
      await syncFolder(this.#blobs);
      this.#insert.run(expected.digest, expected.sizeBytes, expected.mediaType);
    } catch (error) {
      stream.destroy();
      await rm(path, { force: true });
      throw error;
    }
  }

  async resume(digest: Digest): Promise<ResumableIngest> {
    if (this.#partials.has(digest)) throw Object.assign(new Error(`${digest} is being fetched`), { code: "EBUSY" });
    this.#partials.add(digest);
    const release = (): unknown => this.#partials.delete(digest);
    try {
      return await PartialBlob.open(digest, this.#partial(digest), (path, blob) => this.#commit(path, blob), release);
    } catch (error) {
      release();
      throw error;
    }
  }

  hold(digests: Iterable<Digest>): Disposable {
    const held = [...digests];
    for (const digest of held) this.#holds.set(digest, (this.#holds.get(digest) ?? 0) + 1);
    return { [Symbol.dispose]: () => this.#unhold(held.splice(0)) };
  }

  isHeld(digest: Digest): boolean {
    return this.#holds.has(digest);
  }

  async delete(digest: Digest): Promise<boolean> {
    const { changes } = this.#delete.run(digest);
    if (changes === 0) return false;
    await this.#wal?.sync();
    if (this.isHeld(digest)) this.#leftovers.add(digest);
    else await this.#removeFile(digest);
    return true;
  }

  async writeIndex(manifests: readonly object[]): Promise<void> {
    const path = join(this.#ingest, randomUUID());
    try {
      await writeFile(path, indexJson(manifests), { mode: 0o600, flush: true });
      await rename(path, join(this.#root, "index.json"));
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  /** At start, before anything else runs: files that no row knows. Partial ones stay for a week: a pull can go on with them. */
  async sweep(now: number): Promise<void> {
    for (const name of await readdir(this.#ingest)) {
      const path = join(this.#ingest, name);
      const isFresh = name.endsWith(partialSuffix) && now - (await stat(path)).mtimeMs < partialMaxAgeMs;
      if (!isFresh) await rm(path, { recursive: true, force: true });
    }
    for (const name of await readdir(this.#blobs)) {
      const digest = `sha256:${name}`;
      const isKnown = isDigest(digest) && this.has(digest);
      if (!isKnown) await rm(join(this.#blobs, name), { recursive: true, force: true });
    }
  }

  #partial(digest: Digest): string {
    return join(this.#ingest, `${digest.slice("sha256:".length)}${partialSuffix}`);
  }

  async #commit(path: string, blob: Blob): Promise<Blob> {
    // Of a known one the row must still be there when the caller takes hold of it.
    using _ = this.hold([blob.digest]);
    const known = this.find(blob.digest);
    if (known !== undefined) {
      await rm(path, { force: true });
      return known;
    }
    await rename(path, this.path(blob.digest));
    await syncFolder(this.#blobs);
    this.#insert.run(blob.digest, blob.sizeBytes, blob.mediaType);
    return blob;
  }

  #unhold(digests: readonly Digest[]): void {
    for (const digest of digests) {
      const left = (this.#holds.get(digest) ?? 0) - 1;
      if (left > 0) this.#holds.set(digest, left);
      else this.#holds.delete(digest);
      // What cannot be removed now is swept at the next start.
      if (left <= 0 && this.#leftovers.delete(digest)) this.#removeFile(digest).catch(() => undefined);
    }
  }

  async #removeFile(digest: Digest): Promise<void> {
    if (this.has(digest)) return;
    // Out of the way in the same breath: a removal that came later could hit a new file of the same name.
    const doomed = join(this.#ingest, randomUUID());
    try {
      renameSync(this.path(digest), doomed);
    } catch (error) {
      // Gone already, by whatever damaged this store: the row was the last of it.
      if (errnoOf(error) !== "ENOENT") throw error;
    }
    await rm(doomed, { force: true });
  }
}

const partialSuffix = ".partial";
const partialMaxAgeMs = 7 * 24 * 3_600_000;

const indexJson = (manifests: readonly object[]): string =>
  JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests });

async function receive(
  path: string,
  stream: Readable,
  check: ContentCheck,
  signal: AbortSignal | undefined,
): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  const room = new Room(path);
  for await (const chunk of abortable(stream, signal)) {
    const position = check.sizeBytes;
    check.update(chunk);
    room.take(chunk.length);
    await writeAll(file, chunk, position);
  }
  await file.sync();
}

async function writeIfMissing(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
}

/** A rename lasts only when its folder is on the disk. */
async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, "r");
  await folder.sync();
}
