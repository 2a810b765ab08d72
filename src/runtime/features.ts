import { beginAtStart } from "./run-at-start.ts";

/** What runtimes say they can do (OCI runtime spec, features.md), each on one line. */
export class RuntimeFeatures {
  readonly #known = new Map<string, string>();

  /** At the daemon's start only. */
  constructor(programs: Iterable<string>) {
    for (const program of new Set(programs)) void this.#ask(program);
  }

  /** undefined: not answered yet, or a runtime that does not tell. */
  of(program: string): string | undefined {
    return this.#known.get(program);
  }

  async #ask(program: string): Promise<void> {
    try {
      this.#known.set(program, JSON.stringify(JSON.parse(await beginAtStart(program, ["features"]))));
    } catch {
      // Not every runtime has the command: docker info leaves it out.
    }
  }
}
