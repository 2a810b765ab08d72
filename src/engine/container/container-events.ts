import type { Container } from "./container.ts";
import type { ContainerContext } from "./context.ts";

/** Emits a container event with the attributes that every one has: labels, image, name. */
export function emitContainerEvent(
  context: ContainerContext,
  container: Container,
  action: string,
  extra: Readonly<Record<string, string>> = {},
): void {
  const { config } = container.record;
  const image: Record<string, string> = config.Image === "" ? {} : { image: config.Image };
  context.events.emit("container", action, container.id, {
    ...extra,
    ...config.Labels,
    ...image,
    name: container.name,
  });
}
