import { EngineError } from "#base/errors";
import type { Container } from "./container.ts";

export const notRunning = (id: string): EngineError => new EngineError("conflict", `container ${id} is not running`);
const isRestarting = (id: string): EngineError =>
  new EngineError("conflict", `Container ${id} is restarting, wait until the container is running`);
export const isPausedForExec = (id: string): EngineError =>
  new EngineError("conflict", `Container ${id} is paused, unpause the container before exec`);

/** The task of a container that really runs a process, paused or not. */
export function runningTask(container: Container): NonNullable<Container["task"]> {
  if (container.status === "restarting") throw isRestarting(container.id);
  if (!container.isRunning || container.task === undefined) throw notRunning(container.id);
  return container.task;
}
