import { EngineError } from "#base/errors";
import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";

export async function renameContainer(context: ContainerContext, container: Container, newName: string): Promise<void> {
  const name = newName.replace(/^\//, "");
  const oldName = container.name;
  if (oldName === name) {
    throw new EngineError("invalidParameter", "Renaming a container with the same name as its current name");
  }
  try {
    context.index.reserve(name, container.id, `/${name}`);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw new EngineError(error.kind, `Error when allocating new name: ${error.message}`, { cause: error });
  }
  try {
    context.storage.transaction(() => {
      context.index.rename(container, name);
      context.networks.rename(container.record);
      context.index.save(container);
    });
  } finally {
    context.index.release(name);
  }
  emitContainerEvent(context, container, "rename", { oldName: `/${oldName}` });
}
