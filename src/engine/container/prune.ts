import { EngineError } from "#base/errors";
import type { Filters } from "../filters.ts";
import { matchesPruneLabels, parseUntil } from "../prune-filters.ts";
import type { Container } from "./container.ts";
import type { ContainerContext } from "./context.ts";
import { containerSizes } from "./inspect-sizes.ts";
import { removeContainer } from "./remove.ts";

export interface PruneReport {
  readonly ContainersDeleted: string[] | null;
  readonly SpaceReclaimed: number;
}

/** Removes every container that does not run and that the filters (`label`, `label!`, `until`) let through. */
export async function pruneContainers(
  context: ContainerContext,
  filters: Filters,
  signal: AbortSignal,
): Promise<PruneReport> {
  filters.validate(["label", "label!", "until"]);
  const until = parseUntil(filters, context.clock);
  const deleted: string[] = [];
  let reclaimed = 0;
  for (const container of context.index.list()) {
    if (signal.aborted) break;
    if (!isPrunable(container, filters, until)) continue;
    const { sizeRw } = await containerSizes(context.storage, container.record);
    try {
      await removeContainer(context, container, { force: false, removeVolumes: false, link: false }, container.id);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      context.log.warn({ id: container.id, err: error }, "cannot prune a container");
      continue;
    }
    deleted.push(container.id);
    reclaimed += Math.max(sizeRw, 0);
  }
  context.events.emit("container", "prune", "", { reclaimed: String(reclaimed) });
  return { ContainersDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: reclaimed };
}

function isPrunable(container: Container, filters: Filters, until: bigint | undefined): boolean {
  if (container.isRunning) return false;
  const isYoung = until !== undefined && BigInt(Date.parse(container.record.created)) * 1_000_000n > until;
  return !isYoung && matchesPruneLabels(filters, container.record.config.Labels);
}
