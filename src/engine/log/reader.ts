import { watch } from "node:fs";
import { basename, dirname } from "node:path";
import { Readable } from "node:stream";
import { EngineError, messageOf } from "#base/errors";
import type { LogOptions } from "../container/options.ts";
import { stdcopyHeader } from "../stream/stdcopy-wrap.ts";
import {
  blockSize,
  closeLogs,
  findTail,
  inodeOf,
  type LogFile,
  openLog,
  openLogs,
  openRotated,
  readFrom,
  skipLines,
  type Tail,
} from "./files.ts";
import { type LogFormat, LogLines } from "./json-lines.ts";
import { findLocalTail, LocalEntries, skipEntries } from "./local-entries.ts";

/** A container's log as its reader needs to know it. */
export interface LogSource {
  /** HostConfig.LogConfig.Type */
  readonly driver: string;
  /** The file that the shim writes now; rotated ones stand beside it as `.1`, `.2`, `.2.gz`. */
  readonly path: string;
  readonly framing: LogFormat["framing"];
}

export interface LogLife {
  /** Resolves when nothing more will be written: the container has stopped and its shim has closed the log. */
  readonly ended: Promise<unknown>;
  /** The client has gone. */
  readonly signal: AbortSignal;
}

/** How a driver lays out its files. */
interface LogLayout {
  /** Turns their bytes into what the client gets. */
  readonly decoder: (format: LogFormat) => { readonly isOver: boolean; push(chunk: Uint8Array): Buffer };
  readonly findTail: (file: LogFile, count: number) => Promise<Tail>;
  readonly skip: (chunks: AsyncIterable<Uint8Array>, count: number) => AsyncIterable<Uint8Array>;
}

const layouts: Readonly<Record<string, LogLayout>> = {
  "json-file": { decoder: (format) => new LogLines(format), findTail, skip: skipLines },
  local: { decoder: (format) => new LocalEntries(format), findTail: findLocalTail, skip: skipEntries },
};

/**
 * What the container has said, in the order in which it was logged. The stream reads only as fast as it is read from, and holds
 * one block of the file. A failure in the middle is its last message, on stdcopy's third stream, as dockerd says it.
 */
export function readLogs(source: LogSource, options: LogOptions, life: LogLife): Readable {
  const layout = layouts[source.driver];
  if (layout === undefined) {
    throw new EngineError("notImplemented", "configured logging driver does not support reading");
  }
  const reader = new LogReader(source, layout, options, life);
  return Readable.from(reader.read(), { objectMode: false, highWaterMark: blockSize, signal: life.signal });
}

class LogReader {
  readonly #source: LogSource;
  readonly #layout: LogLayout;
  readonly #options: LogOptions;
  readonly #life: LogLife;
  readonly #decoder: ReturnType<LogLayout["decoder"]>;

  constructor(source: LogSource, layout: LogLayout, options: LogOptions, life: LogLife) {
    this.#source = source;
    this.#layout = layout;
    this.#options = options;
    this.#life = life;
    this.#decoder = layout.decoder({ ...options, framing: source.framing });
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
      for (const part of await this.#findTails(files)) yield* this.#render(part);
    } finally {
      await closeLogs(files);
    }
  }

  /** Watches first and reads then, so that a line written in between is seen by one of the two. */
  async *#follow(): AsyncGenerator<Buffer> {
    using changes = new Changes(this.#source.path, this.#life);
    const files = await openLogs(this.#source.path);
    let current = files.at(-1);
    let position = 0;
    try {
      for (const part of await this.#findTails(files)) position = yield* this.#render(part);
      await closeLogs(files.slice(0, -1));
      for (;;) {
        const hasEnded = changes.hasEnded;
        if (current !== undefined) position = yield* this.#render(wholeFrom(current, position));
        if (this.#decoder.isOver || this.#life.signal.aborted) return;
        const next = await this.#nextFile(current);
        if (next !== undefined) {
          // The last lines of the old file may have been written after it was read to its end.
          if (current?.isCompressed === false) yield* this.#render(wholeFrom(current, position));
          await current?.handle.close();
          current = next;
          position = 0;
        } else if (hasEnded) return;
        else await changes.next();
      }
    } finally {
      await current?.handle.close();
    }
  }

  /** The file that came after `current`, if the log was rotated: by more than one step when it grows faster than it is read. */
  async #nextFile(current: LogFile | undefined): Promise<LogFile | undefined> {
    const { path } = this.#source;
    if ((await inodeOf(path)) === current?.inode) return undefined;
    if (current === undefined) return openLog(path);
    for (let age = 1; ; age++) {
      const found = await identityOf(path, age);
      if (found === undefined) return openLog(path);
      if (found !== current.inode) continue;
      const next = age === 1 ? await openLog(path) : await openRotated(path, age - 1);
      // Rotated again in between, it would not be the next one.
      if ((await identityOf(path, age)) === found) return next;
      await next?.handle.close();
    }
  }

  /** The parts of the files that hold the last messages, as many as were asked for; oldest first. */
  async #findTails(files: readonly LogFile[]): Promise<Tail[]> {
    const { tail: count } = this.#options;
    if (count === undefined || count < 0) return files.map((file) => wholeFrom(file, 0));
    const tails: Tail[] = [];
    let missing = count;
    for (const file of files.toReversed()) {
      const tail = await this.#layout.findTail(file, missing);
      tails.unshift(tail);
      missing -= tail.lines;
      if (missing === 0) break;
    }
    return tails;
  }

  /** Returns the position in the file after what was read. */
  async *#render(part: Tail): AsyncGenerator<Buffer, number> {
    let position = part.offset;
    const bytes = readFrom(part.file, part.offset);
    for await (const chunk of part.skippedLines === 0 ? bytes : this.#layout.skip(bytes, part.skippedLines)) {
      position += chunk.length;
      const text = this.#decoder.push(chunk);
      if (text.length > 0) yield text;
      if (this.#decoder.isOver) break;
    }
    return position;
  }
}

async function identityOf(path: string, age: number): Promise<bigint | undefined> {
  const file = await openRotated(path, age);
  await file?.handle.close();
  return file?.inode;
}

const wholeFrom = (file: LogFile, offset: number): Tail => ({ file, offset, skippedLines: 0, lines: 0 });

/** Tells when a log may have grown, was rotated, or has come to its end. */
class Changes implements Disposable {
  readonly #watcher;
  #wake: () => void = () => undefined;
  #isPending = false;
  #hasEnded = false;

  constructor(path: string, life: LogLife) {
    const name = basename(path);
    this.#watcher = watch(dirname(path), { persistent: false }, (_event, file) => {
      if (file === name || file === null) this.#notify();
    });
    this.#watcher.on("error", () => this.#notify());
    const end = () => {
      this.#hasEnded = true;
      this.#notify();
    };
    life.ended.then(end, end);
    life.signal.addEventListener("abort", () => this.#notify(), { once: true });
    if (life.signal.aborted) this.#isPending = true;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Resolves at once if something has happened since the last call. */
  async next(): Promise<void> {
    if (!this.#isPending) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#isPending = false;
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }

  #notify(): void {
    this.#isPending = true;
    this.#wake();
  }
}

function failureMessage(error: unknown, framing: LogSource["framing"]): Buffer {
  const text = Buffer.from(`Error grabbing logs: ${messageOf(error)}\n`);
  if (framing === "raw") return text;
  return Buffer.concat([stdcopyHeader(3, text.length), text]);
}
