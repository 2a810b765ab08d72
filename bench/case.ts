import type { Engine } from "./engine.ts";

/** One thing that is timed on each engine. */
export interface Case {
  readonly runs: number;
  /** The peer is not asked to. */
  readonly isOursAlone?: boolean;
  /** What must be there before the stopwatch starts; the undoing is returned. */
  readonly prepare?: (engine: Engine) => Promise<() => Promise<void>>;
  /** Before each run, and not in its time. */
  readonly reset?: (engine: Engine) => Promise<void>;
  readonly work: (engine: Engine) => Promise<void>;
}

export type Cases = Readonly<Record<string, Case>>;
