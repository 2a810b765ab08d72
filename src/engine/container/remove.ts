/**
 * The order of a removal: the process ends, the row goes, then the files. A daemon that dies in between finds files that the
 * database does not know, and removes them when it starts.
 */
import { rm } from "node:fs/promises";
import { EngineError, messageOf } from "#base/errors";
import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";
import { killAndWait } from "./kill.ts";
import type { RemoveOptions } from "./options.ts";
import { bundleDirectory, containerDirectory, shimSocket } from "./paths.ts";
import { breakLinksTo, removeLink } from "./unlink.ts";

/** `reference` is the caller's word for the container, which the error texts repeat. */
export async function removeContainer(
  context: ContainerContext,
  container: Container,
  options: RemoveOptions,
  reference: string,
): Promise<void> {
  if (container.isRemovalInProgress) {
    throw new EngineError("conflict", `removal of container ${reference} is already in progress`);
  }
  if (container.isRemoved) return;
  if (options.link) return removeLink(context, container, reference);
  container.isRemovalInProgress = true;
  try {
    const tryDestroy = () => context.locks.run(container.id, () => destroy(context, container, options.removeVolumes));
    // A start that was under way may have made it run.
    do await endRun(context, container, options.force);
    while (!(await tryDestroy()));
  } catch (error) {
    const kind = error instanceof EngineError ? error.kind : "system";
    const message = `cannot remove container "${reference}": ${messageOf(error)}`;
    throw new EngineError(kind, message, { cause: error });
  } finally {
    container.isRemovalInProgress = false;
  }
}

async function endRun(context: ContainerContext, container: Container, isForced: boolean): Promise<void> {
  if (!container.isRunning) return;
  if (!isForced) {
    const message =
      container.status === "paused"
        ? "container is paused and must be unpaused first"
        : `container is ${container.status}: stop the container before removing or force remove`;
    throw new EngineError("conflict", message);
  }
  try {
    await killAndWait(context, container);
  } catch (error) {
    // It ended by itself in the meantime.
    if (container.isRunning)
      throw new EngineError("system", `could not kill container: ${messageOf(error)}`, { cause: error });
  }
}

/** False for one that runs. */
async function destroy(context: ContainerContext, container: Container, withVolumes: boolean): Promise<boolean> {
  if (container.isRemoved) return true;
  if (container.isRunning) return false;
  const { record } = container;
  await context.networks.detach(record);
  container.moveTo("removing");
  context.volumes.keep(record, { withAnonymous: !withVolumes });
  context.storage.transaction(() => {
    context.index.delete(container);
    breakLinksTo(context, container);
  });
  container.isRemoved = true;
  context.storage.snapshots.remove(record.id);
  if (withVolumes) await context.volumes.removeAnonymousOf(record);
  context.volumes.forget(record.id);
  await container.bindAttached(undefined);
  container.notifyRemoved();
  emitContainerEvent(context, container, "destroy");
  removeFilesLater(context, container);
  return true;
}

/** Never in the path of a reply: the shim may still be writing its last line. */
function removeFilesLater(context: ContainerContext, container: Container): void {
  // A shim that was killed leaves its socket.
  const paths = [containerDirectory, bundleDirectory, shimSocket].map((of) => of(context.defaults, container.id));
  const work = container.shimClosed.then(() =>
    Promise.all(paths.map((path) => rm(path, { recursive: true, force: true, maxRetries: 5 }))),
  );
  work.catch((error: unknown) =>
    context.log.warn({ id: container.id, err: error }, "cannot remove a container's files"),
  );
}
