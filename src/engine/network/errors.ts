import { EngineError } from "#base/errors";

export const noSuchNetwork = (ref: string): EngineError => new EngineError("notFound", `network ${ref} not found`);

export const invalid = (message: string, cause?: unknown): EngineError =>
  new EngineError("invalidParameter", message, { cause });

export const forbidden = (message: string): EngineError => new EngineError("forbidden", message);

/** moby's multierror: one error as it is, several as a list, with their own lines indented. */
export function joinMessages(messages: readonly string[]): string {
  const [only] = messages;
  if (only !== undefined && messages.length === 1) return only.trim();
  return messages.map((message) => `* ${message.replaceAll("\n", "\n\t")}`).join("\n");
}

/** The same failure with words in front of it. What is no EngineError becomes one that says the daemon failed. */
export function prefixed(prefix: string, error: unknown): EngineError {
  const kind = error instanceof EngineError ? error.kind : "system";
  const message = error instanceof Error ? error.message : String(error);
  return new EngineError(kind, `${prefix}: ${message}`, { cause: error });
}
