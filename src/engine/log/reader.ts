import { messageOf } from "#base/errors";
import type { LogOptions } from "../container/options.ts";
import { stdcopyHeader } from "../stream/stdcopy-wrap.ts";
import { LogBlocks } from "./blocks.ts";
import { type Chunk, LogChunks } from "./chunks.ts";
import { LogEntries, type Start } from "./entries.ts";
import { type LogFile, openLogs, wasCompleteBefore } from "./files.ts";
import type { Framing } from "./frames.ts";
import { jsonLayout } from "./json-lines.ts";
import type { LogDecoder, LogLayout } from "./layout.ts";
import { localLayout } from "./local-entries.ts";
import { SharedLog } from "./shared-log.ts";
import type { FileDriver } from "./shim-config.ts";

/** A container's log as its reader needs to know it. */
export interface LogSource {
  readonly driver: FileDriver;
  /** The file that the shim writes now; rotated ones stand beside it as `.1`, `.2`, `.2.gz`. */
  readonly path: string;
  readonly framing: Framing["framing"];
}

export interface LogLife {
  /** Aborted when nothing more will be written: the container has stopped and its shim has closed the log. */
  readonly ended: AbortSignal;
  /** The client has gone. */
  readonly signal: AbortSignal;
}

const layouts: Readonly<Record<FileDriver, LogLayout>> = { "json-file": jsonLayout, local: localLayout };

/** Reads containers' logs, and holds what their readers share. */
export class LogReaders {
  readonly #blocks = new LogBlocks();
  readonly #chunks = new LogChunks(this.#blocks);
  readonly #logs = new Map<string, { readonly log: SharedLog; readers: number }>();

  /**
   * What the container has said, in the order in which it was logged. Each chunk is valid until the next one is asked for: a reader
   * that is slow holds one block, one that waits none. A failure in the middle is the last message, on stdcopy's third stream, as
   * dockerd says it.
   */
  read(source: LogSource, options: LogOptions, life: LogLife): AsyncGenerator<Buffer> {
    const layout = layouts[source.driver];
    return this.#read({ source, options, life, layout, chunks: this.#chunks, blocks: this.#blocks });
  }

  async *#read(reading: Omit<LogReading, "log">): AsyncGenerator<Buffer> {
    const { path } = reading.source;
    const shared = this.#logs.get(path) ?? { log: new SharedLog(path), readers: 0 };
    this.#logs.set(path, shared);
    shared.readers++;
    try {
      yield* new LogReader({ ...reading, log: shared.log }).read();
    } finally {
      if (--shared.readers === 0) this.#logs.delete(path);
    }
  }
}

interface LogReading {
  readonly source: LogSource;
  readonly options: LogOptions;
  readonly life: LogLife;
  readonly layout: LogLayout;
  readonly chunks: LogChunks;
  readonly blocks: LogBlocks;
  readonly log: SharedLog;
}

class LogReader {
  readonly #source: LogSource;
  readonly #options: LogOptions;
  readonly #life: LogLife;
  readonly #decoder: LogDecoder;
  readonly #entries: LogEntries;
  readonly #chunks: LogChunks;
  readonly #log: SharedLog;
  /** What others must want as well to get the same chunks. */
  readonly #wanted: string;
  #isOver = false;

  constructor({ source, options, life, layout, chunks, blocks, log }: LogReading) {
    const format = { ...options, framing: source.framing };
    this.#source = source;
    this.#options = options;
    this.#life = life;
    this.#decoder = layout.decoder(format);
    this.#entries = new LogEntries(layout, blocks);
    this.#chunks = chunks;
    this.#log = log;
    const { stdout, stderr, timestamps, details, since, until, framing } = format;
    this.#wanted = [source.path, stdout, stderr, timestamps, details, since, until, framing].join();
  }

  async *read(): AsyncGenerator<Buffer> {
    try {
      yield* this.#options.follow ? this.#follow() : this.#past();
    } catch (error) {
      if (this.#life.signal.aborted) return;
      yield failureMessage(error, this.#source.framing);
    }
  }

  async *#past(): AsyncGenerator<Buffer> {
    const files = new Set(await this.#openAll());
    try {
      for (const start of await this.#findStarts([...files])) {
        const { size } = await (await start.file.plain()).stat();
        yield* this.#render(start, size);
        if (this.#isOver) return;
        files.delete(start.file);
        await this.#log.release(start.file);
      }
    } finally {
      await this.#release([...files]);
    }
  }

  /** Watches first and reads then, so that a line written in between is seen by one of the two. */
  async *#follow(): AsyncGenerator<Buffer> {
    using follower = this.#log.follow();
    const { ended, signal } = this.#life;
    const wake = () => {
      if (ended.aborted) this.#log.refresh();
      follower.wake();
    };
    // Until this reader leaves: the container's run may last much longer.
    using listening = new DisposableStack();
    for (const told of [ended, signal]) {
      told.addEventListener("abort", wake);
      listening.defer(() => told.removeEventListener("abort", wake));
    }
    if (ended.aborted) wake();
    let start = await this.#first();
    try {
      for (;;) {
        const isLast = ended.aborted;
        if (start !== undefined) start = { ...start, offset: yield* this.#render(start) };
        if (this.#isOver || signal.aborted) return;
        const next = await this.#log.fileAfter(start?.file);
        if (next !== undefined) {
          // The last lines of the old file may have been written after it was read to its end.
          if (start !== undefined) {
            yield* this.#render(start);
            await this.#log.release(start.file);
          }
          start = { file: next, offset: 0 };
        } else if (isLast) return;
        else await follower.changed();
      }
    } finally {
      if (start !== undefined) await this.#log.release(start.file);
    }
  }

  async #openAll(): Promise<readonly LogFile[]> {
    const files = await openLogs(this.#source.path);
    return Promise.all(files.map((file) => this.#log.share(file)));
  }

  async #release(files: readonly LogFile[]): Promise<void> {
    await Promise.all(files.map((file) => this.#log.release(file)));
  }

  /** In the oldest of the files that hold what is wanted. */
  async #first(): Promise<Start | undefined> {
    const files = await this.#openAll();
    const [first] = await this.#findStarts(files);
    await this.#release(files.filter((file) => file !== first?.file));
    return first;
  }

  /** Where to begin in those files that hold what is wanted; oldest first. */
  async #findStarts(files: readonly LogFile[]): Promise<Start[]> {
    const { tail, since } = this.#options;
    if (tail !== undefined) return this.#findTail(files, tail);
    if (since !== undefined) return this.#findSince(files, since);
    return files.map((file) => ({ file, offset: 0 }));
  }

  async #findTail(files: readonly LogFile[], count: number): Promise<Start[]> {
    const starts: Start[] = [];
    let missing = count;
    for (const file of files.toReversed()) {
      const tail = await this.#entries.tail(file, missing);
      starts.unshift(tail);
      missing -= tail.count;
      if (missing === 0) break;
    }
    return starts;
  }

  async #findSince(files: readonly LogFile[], sinceNs: bigint): Promise<Start[]> {
    const starts: Start[] = [];
    for (const file of files.toReversed()) {
      if (starts.length > 0 && (await wasCompleteBefore(file, sinceNs))) break;
      const start = await this.#entries.since(file, sinceNs);
      starts.unshift(start);
      if (start.offset > 0) break;
    }
    return starts;
  }

  /** As far as there is anything, or to `end`; returns the position behind it. */
  async *#render({ file, offset }: Start, end = Number.POSITIVE_INFINITY): AsyncGenerator<Buffer, number> {
    const key = `${file.identity} ${this.#wanted}`;
    for (let position = offset; ; ) {
      using chunk = await this.#chunks.take(key, position, (block) => this.#chunkAt({ file, offset: position }, block));
      if (chunk.text.length > 0) yield chunk.text;
      this.#isOver = chunk.isOver;
      if (chunk.isOver || chunk.next === position || chunk.next >= end) return chunk.next;
      position = chunk.next;
    }
  }

  async #chunkAt(start: Start, block: Buffer): Promise<Chunk> {
    const { entries, next } = await this.#entries.read(start, block);
    const text = this.#decoder.decode(entries);
    return { text, next, isOver: this.#decoder.isOver };
  }
}

function failureMessage(error: unknown, framing: LogSource["framing"]): Buffer {
  const text = Buffer.from(`Error grabbing logs: ${messageOf(error)}\n`);
  if (framing === "raw") return text;
  return Buffer.concat([stdcopyHeader(3, text.length), text]);
}
