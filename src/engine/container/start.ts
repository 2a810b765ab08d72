/**
 * The order of a start: network, bundle, task (created, waiting), early attachers, go. Each step has its undo; only when the
 * process runs is the container recorded as running, and only then is `start` announced.
 */
import { EngineError } from "#base/errors";
import { RuntimeError, Task } from "#runtime";
import { withoutOperational } from "../network/sandbox/endpoint-settings.ts";
import { prepareBundle, releaseSharedMemory } from "./bundle.ts";
import { findSoundCheckpoint } from "./checkpoint.ts";
import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";
import { watchTask } from "./exit.ts";
import { watchHealth } from "./health.ts";
import { bundleDirectory, containerDirectory } from "./paths.ts";
import { removeContainer } from "./remove.ts";
import { type StartFailure, startFailureOf, unknownFailure } from "./start-failure.ts";
import { checkMounts } from "./validate/create.ts";

export interface StartOptions {
  /** A client's start, not one by restart policy: counters and the manual-stop mark begin anew. */
  readonly isManual: boolean;
  /** The name of a checkpoint to go on from; "" or absent: the container begins anew. */
  readonly checkpoint?: string;
}

export async function startContainer(
  context: ContainerContext,
  container: Container,
  options: StartOptions,
): Promise<void> {
  const failure = await context.locks.run(container.id, () => startLocked(context, container, options));
  if (failure === undefined) return;
  // Removal takes the lock itself, so it comes after.
  if (container.record.hostConfig.AutoRemove) {
    await removeContainer(context, container, { force: true, removeVolumes: true, link: false }, container.id);
  }
  throw failure.error;
}

async function startLocked(
  context: ContainerContext,
  container: Container,
  options: StartOptions,
): Promise<StartFailure | undefined> {
  // A policy starts one between two runs, and one that a client was faster to start stays.
  const isUp = container.isRunning && (options.isManual || container.status !== "restarting");
  if (isUp && !container.isManualRestart) return undefined;
  if (container.isRemovalInProgress || container.isRemoved || container.status === "dead") {
    throw new EngineError("conflict", "container is marked for removal and cannot be started");
  }
  if (options.isManual) await checkMounts(context.storage.foreign, container.record.hostConfig.Mounts ?? []);
  await container.shimClosed;
  if (options.isManual) beginAnew(container);
  const { checkpoint = "" } = options;
  try {
    await launch(context, container, checkpoint);
  } catch (error) {
    // Killed: what it has created, or even started, is nobody's.
    if (error instanceof RuntimeError && error.stage === "shim" && !error.isSilent) {
      await context.spawner.clean(bundleDirectory(context.defaults, container.id)).catch(() => undefined);
    }
    const failure = startFailureOf(error, checkpoint === "" ? "create" : "restore");
    container.task = undefined;
    const { state } = container.record;
    state.error = failure.error.message;
    // A failure that has no code of its own leaves that of the last run.
    if (failure.exitCode !== unknownFailure || state.exitCode === 0) state.exitCode = failure.exitCode;
    context.index.note(container);
    await container.bindAttached(undefined);
    return failure;
  }
  return undefined;
}

function beginAnew(container: Container): void {
  container.isManualRestart = false;
  container.isExitWanted = false;
  container.restartBackoff.reset();
  container.record.state.hasBeenManuallyStopped = false;
  container.record.state.restartCount = 0;
}

async function launch(context: ContainerContext, container: Container, name: string): Promise<void> {
  await using undo = new AsyncDisposableStack();
  const { record } = container;
  await context.volumes.acquire(record);
  undo.defer(() => context.volumes.release(record.id));

  let networks = structuredClone(record.networks);
  undo.defer(() => void Object.assign(record, { networks, sandboxId: "", sandboxKey: "" }));
  const sandbox = await context.networks.attach(record, { directory: containerDirectory(context.defaults, record.id) });
  undo.defer(() => context.networks.detach(record));
  networks = Object.fromEntries(Object.entries(networks).map(([name, asked]) => [name, withoutOperational(asked)]));
  // With `container:` they are the other's.
  record.config = { ...record.config, Hostname: sandbox.hostname, Domainname: sandbox.domainname };

  undo.defer(() => releaseSharedMemory(context, record));
  // Ports are held by another process, and that takes as long as writing a bundle: both at once, and neither outlives a failure.
  const [ports, bundle] = await Promise.allSettled([
    sandbox.ports,
    prepareBundle(context, container, sandbox),
    sandbox.connected,
  ]);
  record.ports = resultOf(ports);
  record.networks = sandbox.networks;
  record.sandboxId = sandbox.id;
  record.sandboxKey = sandbox.key;
  record.state.hasFiles = true;
  const { directory, socket } = resultOf(bundle);
  // Written before the process runs: a daemon that dies right after the start finds it again, with its addresses.
  context.index.save(container);

  const options = { name, directory: "" };
  const checkpoint =
    name === "" ? undefined : await findSoundCheckpoint(context, container, options, `/${record.name}`);
  const task = await Task.create({ bundle: directory, socketPath: socket }, context.spawner, { checkpoint });
  undo.defer(() => task.delete());
  container.task = task;
  await container.bindAttached(task);
  const startedAt = await task.start();
  undo.move();
  setRunning(context, container, task, startedAt);
}

function resultOf<T>(settled: PromiseSettledResult<T>): T {
  if (settled.status === "rejected") throw settled.reason;
  return settled.value;
}

function setRunning(context: ContainerContext, container: Container, task: Task, startedAt: string): void {
  const { state } = container.record;
  container.moveTo("running");
  Object.assign(state, { pid: task.pid, exitCode: 0, error: "", startedAt, oomKilled: false, hasRun: true });
  container.run = new AbortController();
  context.index.note(container);
  emitContainerEvent(context, container, "start");
  watchTask(context, container, task);
  watchHealth(context, container);
}
