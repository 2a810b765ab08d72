import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";
import { runningTask } from "./errors.ts";

/** Sets the size of the container's terminal, in characters. */
export async function resizeContainer(
  context: ContainerContext,
  container: Container,
  height: number,
  width: number,
): Promise<void> {
  await runningTask(container).resize(height, width);
  emitContainerEvent(context, container, "resize", { height: String(height), width: String(width) });
}
