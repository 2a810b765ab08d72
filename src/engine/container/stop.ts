import { endsWithin } from "#base/within";
import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";
import { killAndWait, sendSignal } from "./kill.ts";
import type { StopOptions } from "./options.ts";
import { parseSignal, SIGTERM } from "./signals.ts";

/** What remains of the patience when the stop signal could not be sent. */
const failedSignalWaitMs = 2000;

/** Asks with the stop signal, waits, then kills. A client that hangs up does not stop the stop. */
export async function stopContainer(
  context: ContainerContext,
  container: Container,
  options: StopOptions,
): Promise<void> {
  if (!container.isRunning) return;
  const { config } = container.record;
  const signal = parseSignal(options.signal || config.StopSignal || String(SIGTERM));
  const timeoutSeconds = Number(options.timeout ?? config.StopTimeout ?? context.defaults.stopTimeoutSeconds);

  const stopped = container.waitForStop();
  const isSignalled = await sendSignal(context, container, signal).then(
    () => true,
    (error: unknown) => {
      context.log.warn({ id: container.id, err: error }, "cannot send the stop signal");
      return false;
    },
  );
  const askedMs = timeoutSeconds < 0 ? Number.POSITIVE_INFINITY : timeoutSeconds * 1000;
  const hasStopped = !container.isRunning || (await endsWithin(isSignalled ? askedMs : failedSignalWaitMs, stopped));
  if (!hasStopped && container.isRunning) await killAndWait(context, container);
  emitContainerEvent(context, container, "stop");
}
