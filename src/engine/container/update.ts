import type { HostConfig, Resources } from "#api-schema/container-config";
import { EngineError, messageOf } from "#base/errors";
import { RuntimeError, type Task } from "#runtime";
import { linuxResources } from "../spec/index.ts";
import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";
import type { UpdateRequest } from "./options.ts";
import type { CheckedUpdate } from "./validate/update.ts";

/** Changes limits (at once, if it runs) and the restart policy. A zero means "leave as it is", but lifts PidsLimit. */
export async function updateContainer(
  context: ContainerContext,
  container: Container,
  { request: asked, warnings }: CheckedUpdate,
): Promise<{ Warnings: string[] | null }> {
  const { record } = container;
  const before = record.hostConfig;
  try {
    if (container.isRemovalInProgress || container.status === "dead") {
      throw new EngineError("conflict", 'container is marked for removal and cannot be "update"');
    }
    record.hostConfig = merged(before, asked);
    const task = container.status === "restarting" ? undefined : container.task;
    record.isUpdating = task !== undefined;
    context.index.save(container);
    if (task !== undefined) await finishUpdate(context, container, task);
  } catch (error) {
    record.hostConfig = before;
    record.isUpdating = false;
    context.index.save(container);
    const kind = error instanceof EngineError ? error.kind : "system";
    throw new EngineError(kind, `Cannot update container ${container.id}: ${reasonOf(error)}`, { cause: error });
  }
  emitContainerEvent(context, container, "update");
  return { Warnings: warnings.length === 0 ? null : [...warnings] };
}

/** What the runtime refuses, in the words of containerd's shim. */
const reasonOf = (error: unknown): string =>
  error instanceof RuntimeError && error.stage !== "shim"
    ? `runc did not terminate successfully: exit status 1: ${error.runtimeMessage}`
    : messageOf(error);

/** The recorded limits reach what runs; also after a daemon has died in between. */
export async function finishUpdate(context: ContainerContext, container: Container, task: Task): Promise<void> {
  const { record } = container;
  await task.update(linuxResources(record.hostConfig));
  record.isUpdating = false;
  context.index.save(container);
}

const conflicts: readonly { when: (asked: UpdateRequest, is: HostConfig) => boolean; message: string }[] = [
  {
    when: (asked, is) => asked.NanoCpus > 0 && is.CpuPeriod > 0,
    message: "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set",
  },
  {
    when: (asked, is) => asked.NanoCpus > 0 && is.CpuQuota > 0,
    message: "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set",
  },
  {
    when: (asked, is) => asked.CpuPeriod > 0 && is.NanoCpus > 0,
    message: "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set",
  },
  {
    when: (asked, is) => asked.CpuQuota > 0 && is.NanoCpus > 0,
    message: "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
  },
  {
    when: (asked, is) => asked.Memory !== 0 && asked.Memory > is.MemorySwap && asked.MemorySwap === 0,
    message: "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
  },
  {
    when: (asked, is) => is.AutoRemove && asked.RestartPolicy.Name !== "" && asked.RestartPolicy.Name !== "no",
    message: "Restart policy cannot be updated because AutoRemove is enabled for the container",
  },
];

/** moby container/container_unix.go, UpdateContainer. */
function merged(before: HostConfig, request: UpdateRequest): HostConfig {
  const conflict = conflicts.find(({ when }) => when(request, before));
  if (conflict !== undefined) throw new EngineError("conflict", conflict.message);
  const after: HostConfig = { ...before, ...nonZero(request) };
  return request.RestartPolicy.Name === "" ? after : { ...after, RestartPolicy: request.RestartPolicy };
}

const updatable = [
  "CpuShares",
  "Memory",
  "NanoCpus",
  "BlkioWeight",
  "CpuPeriod",
  "CpuQuota",
  "CpuRealtimePeriod",
  "CpuRealtimeRuntime",
  "CpusetCpus",
  "CpusetMems",
  "MemoryReservation",
  "MemorySwap",
] as const satisfies readonly (keyof Resources)[];

function nonZero(request: Resources): Partial<HostConfig> {
  const entries = updatable.map((field) => [field, request[field]] as const);
  const pids = request.PidsLimit === null ? {} : { PidsLimit: request.PidsLimit };
  return { ...Object.fromEntries(entries.filter(([, value]) => value !== 0 && value !== "")), ...pids };
}
