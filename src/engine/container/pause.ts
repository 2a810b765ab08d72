import { EngineError, messageOf } from "#base/errors";
import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";
import { runningTask } from "./errors.ts";
import { endHealth, resumeHealth } from "./health.ts";

/** With the container's lock: an exit that comes meanwhile is recorded after it, and stays what is known. */
export function pauseContainer(context: ContainerContext, container: Container): Promise<void> {
  return context.locks.run(container.id, async () => {
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
  });
}

export function unpauseContainer(context: ContainerContext, container: Container): Promise<void> {
  return context.locks.run(container.id, async () => {
    // moby answers 500 here, not 409.
    if (container.status !== "paused") throw new EngineError("system", `Container ${container.id} is not paused`);
    const task = runningTask(container);
    try {
      await task.resume();
    } catch (error) {
      const message = `Cannot unpause container ${container.id}: ${messageOf(error)}`;
      throw new EngineError("system", message, { cause: error });
    }
    container.moveTo("running");
    resumeHealth(context, container);
    context.index.note(container);
    emitContainerEvent(context, container, "unpause");
  });
}
