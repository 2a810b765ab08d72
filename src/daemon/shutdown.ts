import { endsWithin } from "#base/within";
import { type Container, type ContainerContext, stopContainer } from "#engine";
import type { DaemonConfig } from "./config/config.ts";

/** What a container's own patience gets on top (moby daemon.ShutdownTimeout). */
const graceSeconds = 5;

/**
 * What the end of the daemon does to containers: with `--live-restore` nothing; else they are stopped, each with its own
 * patience, and their restart policies bring them back at the next start.
 */
export async function stopContainers(context: ContainerContext, config: DaemonConfig): Promise<void> {
  context.isShuttingDown = true;
  if (config.isLiveRestoreEnabled) {
    for (const container of context.index.list()) container.task?.disconnect();
    return;
  }
  const running = context.index.list().filter((container) => container.isRunning);
  const patienceMs = 1000 * patience(running, config.shutdownTimeoutSeconds, context.defaults.stopTimeoutSeconds);
  const stopped = Promise.all(running.map((container) => stop(context, container)));
  if (!(await endsWithin(patienceMs, stopped))) context.log.error("Force shutdown daemon");
}

/** Of a negative one there is no end. */
function patience(containers: readonly Container[], shutdownSeconds: number, stopSeconds: number): number {
  const own = containers.map(({ record }) => Number(record.config.StopTimeout ?? stopSeconds));
  if (shutdownSeconds < 0 || own.some((seconds) => seconds < 0)) return Number.POSITIVE_INFINITY;
  return Math.max(shutdownSeconds, ...own.map((seconds) => seconds + graceSeconds));
}

async function stop(context: ContainerContext, container: Container): Promise<void> {
  try {
    if (container.status === "paused") await container.task?.resume();
    await stopContainer(context, container, { signal: "" });
    await container.shimClosed;
  } catch (error) {
    context.log.error({ id: container.id, err: error }, "cannot stop a container");
  }
}
