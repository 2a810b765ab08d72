import { EngineError, messageOf } from "#base/errors";
import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";
import { runningTask } from "./errors.ts";
import { endHealth, resumeHealth } from "./health.ts";

export async function pauseContainer(context: ContainerContext, container: Container): Promise<void> {
  if (container.status === "paused") {
    throw new EngineError("conflict", `Container ${container.id} is already paused`);
  }
  const task = runningTask(container);
  try {
    await task.pause();
  } catch (error) {
    throw new EngineError("system", `cannot pause container ${container.id}: ${messageOf(error)}`, { cause: error });
  }
  container.moveTo("paused");
  endHealth(container);
  context.index.note(container);
  emitContainerEvent(context, container, "pause");
}

export async function unpauseContainer(context: ContainerContext, container: Container): Promise<void> {
  // moby answers 500 here, not 409.
  if (container.status !== "paused") throw new EngineError("system", `Container ${container.id} is not paused`);
  const task = runningTask(container);
  try {
    await task.resume();
  } catch (error) {
    throw new EngineError("system", `Cannot unpause container ${container.id}: ${messageOf(error)}`, { cause: error });
  }
  container.moveTo("running");
  resumeHealth(context, container);
  context.index.note(container);
  emitContainerEvent(context, container, "unpause");
}
