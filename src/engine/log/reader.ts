import { EngineError, messageOf } from "#base/errors";
import type { LogOptions } from "../container/options.ts";
import { stdcopyHeader } from "../stream/stdcopy-wrap.ts";
import { LogBlocks } from "./blocks.ts";
import { LogEntries, type Start, startAt } from "./entries.ts";
import { closeLogs, type LogFile, openLogs, wasCompleteBefore } from "./files.ts";
import { FollowedLog, type Follower } from "./followed-log.ts";
import type { Framing } from "./frames.ts";
import { jsonLayout } from "./json-lines.ts";
import type { LogDecoder, LogLayout } from "./layout.ts";
import { localLayout } from "./local-entries.ts";

/** A container's log as its reader needs to know it. */
export interface LogSource {
  /** HostConfig.LogConfig.Type */
  readonly driver: string;
  /** The file that the shim writes now; rotated ones stand beside it as `.1`, `.2`, `.2.gz`. */
  readonly path: string;
  readonly framing: Framing["framing"];
}

export interface LogLife {
  /** Resolves when nothing more will be written: the container has stopped and its shim has closed the log. */
  readonly ended: Promise<unknown>;
  /** The client has gone. */
  readonly signal: AbortSignal;
}

const layouts: Readonly<Record<string, LogLayout>> = { "json-file": jsonLayout, local: localLayout };

/** Reads containers' logs, and holds what their readers share. */
export class LogReaders {
  readonly #blocks = new LogBlocks();
  readonly #followed = new Map<string, FollowedLog>();

  /**
   * What the container has said, in the order in which it was logged. Each chunk is valid until the next one is asked for: a reader
   * that is slow holds one block, one that waits none. A failure in the middle is the last message, on stdcopy's third stream, as
   * dockerd says it.
   */
  read(source: LogSource, options: LogOptions, life: LogLife): AsyncGenerator<Buffer> {
    const layout = layouts[source.driver];
    if (layout === undefined) {
      throw new EngineError("notImplemented", "configured logging driver does not support reading");
    }
    const decoder = layout.decoder({ ...options, framing: source.framing });
    const entries = new LogEntries(layout, this.#blocks);
    return new LogReader({ source, options, life, decoder, entries, follow: (path) => this.#follow(path) }).read();
  }

  #follow(path: string): Follower {
    const log = this.#followed.get(path) ?? new FollowedLog(path, () => this.#followed.delete(path));
    this.#followed.set(path, log);
    return log.join();
  }
}

interface LogReading {
  readonly source: LogSource;
  readonly options: LogOptions;
  readonly life: LogLife;
  readonly decoder: LogDecoder;
  readonly entries: LogEntries;
  readonly follow: (path: string) => Follower;
}

class LogReader {
  readonly #source: LogSource;
  readonly #options: LogOptions;
  readonly #life: LogLife;
  readonly #decoder: LogDecoder;
  readonly #entries: LogEntries;
  readonly #followPath: LogReading["follow"];

  constructor({ source, options, life, decoder, entries, follow }: LogReading) {
    this.#source = source;
    this.#options = options;
    this.#life = life;
    this.#decoder = decoder;
    this.#entries = entries;
    this.#followPath = follow;
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
    const files = await openLogs(this.#source.path);
    try {
      for (const part of await this.#findStarts(files)) yield* this.#render(part);
    } finally {
      await closeLogs(files);
    }
  }

  /** Watches first and reads then, so that a line written in between is seen by one of the two. */
  async *#follow(): AsyncGenerator<Buffer> {
    using follower = this.#followPath(this.#source.path);
    const { ended, signal } = this.#life;
    let hasEnded = false;
    const end = () => {
      hasEnded = true;
      follower.wake();
    };
    ended.then(end, end);
    signal.addEventListener("abort", () => follower.wake(), { once: true });
    let start = await this.#first();
    try {
      for (;;) {
        const isLast = hasEnded;
        if (start !== undefined) start = startAt(start.file, yield* this.#render(start));
        if (this.#decoder.isOver || signal.aborted) return;
        if (isLast) follower.log.refresh();
        const next = await follower.log.fileAfter(start?.file);
        if (next !== undefined) {
          // The last lines of the old file may have been written after it was read to its end.
          if (start !== undefined) yield* this.#render(start);
          await start?.file.handle.close();
          start = startAt(next, 0);
        } else if (isLast) return;
        else await follower.changed();
      }
    } finally {
      await start?.file.handle.close();
    }
  }

  /** In the oldest of the files that hold what is wanted. */
  async #first(): Promise<Start | undefined> {
    const files = await openLogs(this.#source.path);
    const [first] = await this.#findStarts(files);
    await closeLogs(files.filter((file) => file !== first?.file));
    return first;
  }

  /** Where to begin in those files that hold what is wanted; oldest first. */
  async #findStarts(files: readonly LogFile[]): Promise<Start[]> {
    const { tail, since } = this.#options;
    if (tail !== undefined) return this.#findTail(files, tail);
    if (since !== undefined) return this.#findSince(files, since);
    return files.map((file) => startAt(file, 0));
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

  /** Returns the position in the file after what was read. */
  async *#render(start: Start): AsyncGenerator<Buffer, number> {
    let position = start.offset;
    for await (const entries of this.#entries.read(start)) {
      position += entries.length;
      const text = this.#decoder.decode(entries);
      if (text.length > 0) yield text;
      if (this.#decoder.isOver) break;
    }
    return position;
  }
}

function failureMessage(error: unknown, framing: LogSource["framing"]): Buffer {
  const text = Buffer.from(`Error grabbing logs: ${messageOf(error)}\n`);
  if (framing === "raw") return text;
  return Buffer.concat([stdcopyHeader(3, text.length), text]);
}
