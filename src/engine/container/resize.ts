import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";
import { runningTask } from "./errors.ts";

/** Sets the size of the container's terminal, in characters. Without a terminal that is no error, and told all the same. */
export async function resizeContainer(
  context: ContainerContext,
  container: Container,
  height: number,
  width: number,
): Promise<void> {
  const task = runningTask(container);
  if (container.record.config.Tty) await task.resize(height, width);
  emitContainerEvent(context, container, "resize", { height: String(height), width: String(width) });
}
