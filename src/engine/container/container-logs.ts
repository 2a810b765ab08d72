import { EngineError } from "#base/errors";
import type { Framing } from "../log/frames.ts";
import { compressedLogPath, logPathOf, shimLogConfig } from "../log/shim-config.ts";
import type { Container } from "./container.ts";
import type { ContainerContext } from "./context.ts";
import type { LogOptions } from "./options.ts";
import { containerDirectory } from "./paths.ts";

/** The log of one container; `follow` ends with the run that is going on now. */
export function readContainerLogs(
  context: ContainerContext,
  container: Container,
  { framing = container.record.config.Tty ? "raw" : "stdcopy", ...options }: LogOptions & Partial<Framing>,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  if (container.isRemovalInProgress || container.status === "dead") {
    throw new EngineError("conflict", "can not get logs from container which is dead or marked for removal");
  }
  const { record, task } = container;
  const { hostConfig } = record;
  const directory = containerDirectory(context.defaults, record.id);
  // moby opens the log for that, and says what it finds.
  if (!container.isRunning) shimLogConfig(record, directory);
  const source = {
    driver: hostConfig.LogConfig.Type,
    path: logPathOf(record, directory) ?? "",
    framing,
  };
  const ended = task?.exited.catch(() => undefined) ?? Promise.resolve();
  return context.logReaders.read(
    source,
    { ...options, follow: options.follow && task !== undefined },
    { ended, signal },
  );
}

/** Rotated files, where the options say so. */
export function compressLog({ defaults, logCompressor }: ContainerContext, { record }: Container): void {
  const path = compressedLogPath(record, containerDirectory(defaults, record.id));
  if (path !== undefined) logCompressor.compress(path);
}
