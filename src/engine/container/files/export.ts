import { addAbortSignal, type Readable } from "node:stream";
import { EngineError } from "#base/errors";
import type { Container } from "../container.ts";
import { emitContainerEvent } from "../container-events.ts";
import type { ContainerContext } from "../context.ts";

/**
 * The whole file system as one tar, without volumes and what else is mounted in it. A running container is read through a
 * second, read-only mount of its layers, so it is neither stopped nor entered.
 */
export async function exportContainer(
  context: ContainerContext,
  container: Container,
  signal: AbortSignal,
): Promise<Readable> {
  if (container.status === "dead") {
    throw new EngineError("conflict", `You cannot export container ${container.id} which is Dead`);
  }
  if (container.isRemovalInProgress) {
    throw new EngineError("conflict", `You cannot export container ${container.id} which is being removed`);
  }
  await using undo = new AsyncDisposableStack();
  const mounted = undo.use(await context.storage.snapshots.mount(container.id, { isReadOnly: true }));
  const stream = addAbortSignal(
    signal,
    context.storage.archive.pack(mounted.rootFd, "/", { name: "", key: container.id }),
  );
  const open = undo.move();
  stream.once("close", () => void open.disposeAsync());
  stream.once("end", () => emitContainerEvent(context, container, "export"));
  return stream;
}
