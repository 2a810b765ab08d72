import type { RuntimeError } from "#runtime";
import { runtimeFailureOf, type StartFailure } from "../container/start-failure.ts";

/** Docker's words and exit code for an exec whose process could not be started. */
export const execFailureOf = (cause: RuntimeError): StartFailure => runtimeFailureOf(cause, "exec");
