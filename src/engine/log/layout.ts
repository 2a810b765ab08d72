import type { LogOptions } from "../container/options.ts";
import type { Framing } from "./frames.ts";

/** Which messages are wanted, and how they look on the wire. */
export interface LogFormat extends Omit<LogOptions, "follow" | "tail">, Framing {}

/** Turns the entries of a driver's files into what the client gets. */
export interface LogDecoder {
  /** In the last entries a message later than `until` was met: nothing more is wanted. */
  readonly isOver: boolean;
  /** What these whole entries say. They are used up: the answer may lie in their memory. */
  decode(entries: Buffer): Buffer;
}

/** How a driver lays out its files. */
export interface LogLayout {
  decoder(format: LogFormat): LogDecoder;
  /** Where the last whole entry ends, in bytes that begin with an entry; 0 if there is none. */
  endOf(bytes: Buffer): number;
  /**
   * Where entries end and begin, from the last end to the first beginning. The bytes end with an entry, or with half a one that was
   * not written whole yet; they may begin in the middle of one. Undefined if that cannot be told from their end.
   */
  bordersOf(bytes: Buffer, isFromStart: boolean): number[] | undefined;
  /** Whether the entry that begins at `start` is older than that. */
  isBefore(sinceNs: bigint): (bytes: Buffer, start: number) => boolean;
}
