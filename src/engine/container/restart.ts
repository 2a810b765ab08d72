import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";
import type { StopOptions } from "./options.ts";
import { startContainer } from "./start.ts";
import { stopContainer } from "./stop.ts";

/** Stop and start as one: an auto-removed container stays, and no restart policy steps in between. */
export async function restartContainer(
  context: ContainerContext,
  container: Container,
  options: StopOptions,
): Promise<void> {
  if (container.isRunning) {
    container.isManualRestart = true;
    try {
      await stopContainer(context, container, options);
    } catch (error) {
      container.isManualRestart = false;
      throw error;
    }
  }
  await startContainer(context, container, { isManual: true });
  emitContainerEvent(context, container, "restart");
}
