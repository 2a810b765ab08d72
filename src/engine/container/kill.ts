import { EngineError } from "#base/errors";
import { endsWithin } from "#base/within";
import { RuntimeError } from "#runtime";
import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";
import { notRunning } from "./errors.ts";
import { unpauseContainer } from "./pause.ts";
import { isSignal, parseSignal, SIGKILL } from "./signals.ts";

const killTimeoutMs = 10_000;

/** Any signal but KILL is sent and not waited for; KILL returns when the container has ended. */
export async function killContainer(context: ContainerContext, container: Container, signal: number): Promise<void> {
  if (signal === SIGKILL) return killAndWait(context, container);
  if (!container.isRunning) throw notRunning(container.id);
  await sendSignal(context, container, signal);
}

/** Ends a running container now, whatever it does. Not to be called with the container's lock held: the exit needs it. */
export async function killAndWait(context: ContainerContext, container: Container): Promise<void> {
  if (!container.isRunning) throw notRunning(container.id);
  const stopped = container.waitForStop();
  await sendSignal(context, container, SIGKILL);
  if (!container.isRunning) return;
  if (!(await endsWithin(killTimeoutMs, stopped)))
    throw new EngineError("system", "tried to kill container, but did not receive an exit event");
}

/** Signals the container's init. A container between two restarts is only told not to come back. */
export async function sendSignal(context: ContainerContext, container: Container, signal: number): Promise<void> {
  const { stopSignal, isLastWord } = intentOf(container, signal);
  if (isLastWord) container.isExitWanted = true;
  if (!context.isShuttingDown) {
    container.record.state.hasBeenManuallyStopped = true;
    context.index.note(container);
  }
  if (container.status === "restarting") {
    container.run.abort();
    // A start that is under way already comes to its end, and what it has started gets the signal.
    await context.locks.run(container.id, async () => undefined);
    if (container.task === undefined) return;
  }
  if (!isSignal(signal)) throw new EngineError("invalidParameter", "invalid argument");
  try {
    // Without a task its exit is just being recorded, as if the signal had met it.
    await container.task?.kill(signal);
  } catch (error) {
    if (!(error instanceof RuntimeError && error.isGone)) throw error;
  }
  emitContainerEvent(context, container, "kill", { signal: String(signal) });
  // A frozen process gets its signal when it thaws.
  if (container.status === "paused" && (isLastWord || signal === stopSignal)) await thaw(context, container, signal);
}

/** After KILL nothing is left that runs again, so no event tells of it. */
async function thaw(context: ContainerContext, container: Container, signal: number): Promise<void> {
  try {
    await (signal === SIGKILL ? container.task?.resume() : unpauseContainer(context, container));
  } catch (err) {
    context.log.warn({ id: container.id, err }, "cannot unpause a container for its signal");
  }
}

/** With a STOPSIGNAL of its own, only that one (and KILL) means "stay stopped"; without one, every signal does. */
function intentOf(container: Container, signal: number): { stopSignal: number; isLastWord: boolean } {
  const configured = container.record.config.StopSignal;
  if (configured === "" || signal === SIGKILL) return { stopSignal: signal, isLastWord: true };
  const stopSignal = parseSignal(configured);
  return { stopSignal, isLastWord: signal === stopSignal };
}
