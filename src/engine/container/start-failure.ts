import { EngineError, messageOf } from "#base/errors";
import { RuntimeError } from "#runtime";

export interface StartFailure {
  readonly error: EngineError;
  /** What `State.ExitCode` shows from now on. */
  readonly exitCode: number;
}

const commandNotInvocable = 126;
const commandNotFound = 127;
export const unknownFailure = 128;

const prefixes = {
  create:
    "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: ",
  exec: "OCI runtime exec failed: exec failed: ",
  restore: "OCI runtime restore failed: ",
} as const;

/**
 * Docker's words and exit code for a failed start. moby (daemon/errors.go, setExitCodeFromError) reads them out of the
 * runtime's text, and the CLI does it again, so the text decides here too for a runtime that is not ours.
 */
export function startFailureOf(error: unknown, operation: keyof typeof prefixes = "create"): StartFailure {
  if (error instanceof RuntimeError) return runtimeFailureOf(error, operation);
  const failure = error instanceof EngineError ? error : new EngineError("system", messageOf(error), { cause: error });
  return { error: failure, exitCode: unknownFailure };
}

export function runtimeFailureOf(cause: RuntimeError, operation: keyof typeof prefixes): StartFailure {
  // runc begins its text with its own name; ours does not.
  const reason = cause.runtimeMessage.replace(/^(runc create failed|exec failed): /, "");
  const text = `${prefixes[operation]}${reason}`;
  const refused = (message: string, exitCode: number): StartFailure => ({
    error: new EngineError("invalidParameter", message, { cause }),
    exitCode,
  });
  const words = text.toLowerCase(); // crun's begin with a capital
  if (words.includes("permission denied")) return refused(text, commandNotInvocable);
  if (words.includes("is a directory")) return refused(`${text}: permission denied`, commandNotInvocable);
  if (words.includes("not a directory")) {
    const hint =
      "Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type";
    return refused(`${text}: ${hint}`, commandNotFound);
  }
  if (/executable file not found|no such file or directory|system cannot find the file specified/.test(words)) {
    return refused(text, commandNotFound);
  }
  return { error: new EngineError("system", text, { cause }), exitCode: unknownFailure };
}
