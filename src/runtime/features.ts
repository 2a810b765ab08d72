import { execFile } from "node:child_process";

const patienceMs = 10_000;

/** What runtimes say they can do (OCI runtime spec, features.md). They are asked at the daemon's start: later a fork costs more. */
export class RuntimeFeatures {
  readonly #known = new Map<string, string>();

  constructor(programs: Iterable<string>) {
    for (const program of new Set(programs)) {
      execFile(program, ["features"], { timeout: patienceMs }, (_, stdout) => {
        const features = oneLine(stdout);
        if (features !== undefined) this.#known.set(program, features);
      });
    }
  }

  /** undefined: not answered yet, or a runtime that does not tell. */
  of(program: string): string | undefined {
    return this.#known.get(program);
  }
}

function oneLine(json: string): string | undefined {
  try {
    return JSON.stringify(JSON.parse(json));
  } catch {
    return undefined;
  }
}
