import { posix } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";
import { EngineError, errnoOf } from "#base/errors";
import { goQuote } from "#base/strconv";
import { type Blob, type ContentStore, decompress } from "#storage";

const fileCountLimit = 100_000;
const linkDepthLimit = 40;

/** How a stream ends whose other side has failed. */
const consequences = new Set<string | undefined>(["ERR_STREAM_PREMATURE_CLOSE", "ABORT_ERR", "ERR_STREAM_DESTROYED"]);

/**
 * The files of a `docker save` archive. They go straight into the content store, under their own digests, and only their
 * names are kept: no path of the archive ever names a file of the host.
 */
export class ArchiveFiles implements Disposable {
  readonly #content: ContentStore;
  readonly #blobs = new Map<string, Blob>();
  readonly #links = new Map<string, string>();
  readonly #held = new DisposableStack();

  constructor(content: ContentStore) {
    this.#content = content;
  }

  /** Reads the whole archive, compressed or not. */
  static async read(content: ContentStore, stream: Readable, signal: AbortSignal): Promise<ArchiveFiles> {
    const files = new ArchiveFiles(content);
    try {
      const extract = tar.extract();
      const filled = pipeline(Readable.from(decompress(stream), { objectMode: false }), extract, { signal });
      const [first, second] = await Promise.allSettled([files.#fill(extract, signal), filled]);
      signal.throwIfAborted();
      const failures = [second, first].filter((result) => result.status === "rejected");
      // Who ends early closes the other's stream on it; the reason is the one to tell.
      const failure = failures.find(({ reason }) => !consequences.has(errnoOf(reason))) ?? failures[0];
      if (failure !== undefined) throw inWords(failure.reason);
      return files;
    } catch (error) {
      files[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#held.dispose();
  }

  get paths(): string[] {
    return [...this.#blobs.keys()];
  }

  has(path: string): boolean {
    return this.#blobs.has(this.#follow(path));
  }

  /** Fails in the words of open(2) for a file that is not there. */
  get(path: string): Blob {
    const blob = this.#blobs.get(this.#follow(path));
    if (blob === undefined) throw new EngineError("system", `open ${clean(path)}: no such file or directory`);
    return blob;
  }

  async readText(path: string, maxBytes: number): Promise<string> {
    return (await this.#content.readBytes(this.get(path).digest, maxBytes)).toString("utf8");
  }

  async #fill(extract: tar.Extract, signal: AbortSignal): Promise<void> {
    for await (const entry of extract) {
      const { name, type, linkname } = entry.header;
      if (this.#blobs.size + this.#links.size >= fileCountLimit)
        throw new EngineError("invalidParameter", "archive has too many files");
      const path = clean(name);
      if (posix.normalize(name).startsWith("../"))
        throw new EngineError("invalidParameter", `invalid entry name ${goQuote(name)}`);
      if (type === "file" || type === "contiguous-file") {
        this.#links.delete(path);
        this.#blobs.set(path, await this.#keep(Readable.from(entry, { objectMode: false }), signal));
        continue;
      }
      // Old archives share layers between images by links.
      if (type === "symlink") this.#links.set(path, clean(posix.join(posix.dirname(path), linkname ?? "")));
      if (type === "link") this.#links.set(path, clean(linkname ?? ""));
      entry.resume();
    }
  }

  async #keep(entry: Readable, signal: AbortSignal): Promise<Blob> {
    const blob = await this.#content.ingest(entry, {}, signal);
    this.#held.use(this.#content.hold([blob.digest]));
    return blob;
  }

  #follow(path: string): string {
    let target = clean(path);
    for (let depth = 0; depth < linkDepthLimit; depth++) {
      const next = this.#links.get(target);
      if (next === undefined) return target;
      target = next;
    }
    throw new EngineError("invalidParameter", `too many levels of symbolic links: ${path}`);
  }
}

/** Below the archive's root, whatever dots it has. */
const clean = (path: string): string => posix.normalize(`/${path}`).replace(/\/$/, "").slice(1);

/** A cut or foreign file is Go's `unexpected EOF`. */
function inWords(error: unknown): unknown {
  const isCut = error instanceof Error && error.message === "Unexpected end of data";
  if (isCut) return new EngineError("system", "unexpected EOF", { cause: error });
  const isNoTar = error instanceof Error && error.message.startsWith("Invalid tar header");
  return isNoTar ? new EngineError("system", "archive/tar: invalid tar header", { cause: error }) : error;
}
