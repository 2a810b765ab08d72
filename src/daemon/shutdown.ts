import { type ContainerContext, stopContainer } from "#engine";

/**
 * What the end of the daemon does to containers: with `--live-restore` nothing; else they are stopped, each with its own
 * patience, and their restart policies bring them back at the next start.
 */
export async function stopContainers(context: ContainerContext, isLiveRestore: boolean): Promise<void> {
  context.isShuttingDown = true;
  if (isLiveRestore) {
    for (const container of context.index.list()) container.task?.disconnect();
    return;
  }
  const running = context.index.list().filter((container) => container.isRunning);
  await Promise.all(
    running.map(async (container) => {
      try {
        if (container.status === "paused") await container.task?.resume();
        await stopContainer(context, container, { signal: "" });
        await container.shimClosed;
      } catch (error) {
        context.log.error({ id: container.id, err: error }, "cannot stop a container");
      }
    }),
  );
}
