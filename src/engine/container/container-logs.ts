import type { Readable } from "node:stream";
import { EngineError } from "#base/errors";
import type { Container } from "./container.ts";
import type { ContainerContext } from "./context.ts";
import { readLogs } from "./logs.ts";
import type { LogOptions } from "./options.ts";
import { logPath } from "./paths.ts";

/** The log of one container; `follow` ends with the run that is going on now. */
export function readContainerLogs(
  context: ContainerContext,
  container: Container,
  options: LogOptions,
  signal: AbortSignal,
): Readable {
  if (container.isRemovalInProgress || container.status === "dead") {
    throw new EngineError("conflict", "can not get logs from container which is dead or marked for removal");
  }
  const { config, hostConfig } = container.record;
  const source = {
    driver: hostConfig.LogConfig.Type,
    path: logPath(context.defaults, container.id),
    framing: config.Tty ? ("raw" as const) : ("stdcopy" as const),
  };
  const ended = container.task?.exited.catch(() => undefined) ?? Promise.resolve();
  return readLogs(source, options, { ended, signal });
}
