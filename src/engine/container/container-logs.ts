import { EngineError } from "#base/errors";
import type { Framing } from "../log/frames.ts";
import { compressedLogPath, isFileDriver, logPathOf, shimLogConfig } from "../log/shim-config.ts";
import type { Container } from "./container.ts";
import type { ContainerContext } from "./context.ts";
import type { LogOptions } from "./options.ts";
import { containerDirectory } from "./paths.ts";

/**
 * The log of one container; `follow` ends with the run that is going on now. `wanted` is asked for when the log can be read: of
 * two mistakes dockerd names that one.
 */
export function readContainerLogs(
  context: ContainerContext,
  container: Container,
  wanted: () => LogOptions & Partial<Framing>,
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
  const { Type: driver } = hostConfig.LogConfig;
  const path = logPathOf(record, directory);
  if (!isFileDriver(driver) || path === undefined) {
    throw new EngineError("notImplemented", "configured logging driver does not support reading");
  }
  const { framing = record.config.Tty ? "raw" : "stdcopy", ...options } = wanted();
  const follow = options.follow && task !== undefined;
  const ended = follow ? task.ended : AbortSignal.abort();
  return context.logReaders.read({ driver, path, framing }, { ...options, follow }, { ended, signal });
}

/** Rotated files, where the options say so. */
export function compressLog({ defaults, logCompressor }: ContainerContext, { record }: Container): void {
  const path = compressedLogPath(record, containerDirectory(defaults, record.id));
  if (path !== undefined) logCompressor.compress(path);
}
