import type { Change } from "#storage";
import type { Container } from "../container.ts";
import type { ContainerContext } from "../context.ts";

export type { Change };

/** What a container has changed against its image: GET /containers/{id}/changes. */
export function containerChanges(context: ContainerContext, container: Container): Promise<Change[]> {
  return context.storage.snapshots.changes(container.id);
}
