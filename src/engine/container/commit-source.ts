import { EngineError } from "#base/errors";
import type { CommittedContainer } from "../image/commit.ts";
import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";
import { pauseContainer, unpauseContainer } from "./pause.ts";

/** The container as `docker commit` sees it: standing still, if that was asked for and it runs. */
export async function openForCommit(
  context: ContainerContext,
  container: Container,
  options: { readonly pause: boolean },
): Promise<CommittedContainer> {
  if (container.status === "dead") {
    throw new EngineError("conflict", `You cannot commit container ${container.id} which is Dead`);
  }
  if (container.isRemovalInProgress) {
    throw new EngineError("conflict", `You cannot commit container ${container.id} which is being removed`);
  }
  const isPaused = options.pause && container.status === "running" && (await tryPause(context, container));
  return {
    id: container.id,
    imageId: container.record.imageId ?? undefined,
    config: container.record.config,
    emitCommit: (attributes) => emitContainerEvent(context, container, "commit", attributes),
    [Symbol.asyncDispose]: async () => {
      if (isPaused && context.index.get(container.id).status === "paused") await unpauseContainer(context, container);
    },
  };
}

/** One that ends at this very moment stands still as well: moby commits it without a word. */
async function tryPause(context: ContainerContext, container: Container): Promise<boolean> {
  try {
    await pauseContainer(context, container);
    return true;
  } catch {
    return false;
  }
}
