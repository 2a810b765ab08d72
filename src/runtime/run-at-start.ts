import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";
import { messageOf } from "#base/errors";

/** What a program of the host prints. It is a fork of the daemon: only for the start, while the heap is small. Throws what it says. */
export function runAtStart(program: string, args: readonly string[]): string {
  try {
    return execFileSync(program, [...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    throw new ProgramError(error);
  }
}

/** The same while the start goes on. */
export async function beginAtStart(program: string, args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(program, [...args], { timeout: 10_000 })).stdout;
}

export class ProgramError extends Error {
  /** Undefined when it did not run, or was killed. */
  readonly exitCode: number | undefined;
  /** On standard error. */
  readonly output: string;

  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
    this.name = "ProgramError";
    const { status, stderr } = (cause ?? {}) as { status?: unknown; stderr?: unknown };
    this.exitCode = typeof status === "number" ? status : undefined;
    this.output = typeof stderr === "string" ? stderr : "";
  }
}
