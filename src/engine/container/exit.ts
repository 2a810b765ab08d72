/**
 * What happens when a container's process has ended: network and volumes are given back, the end is recorded, waiters are
 * told, `die` is announced, and then the restart policy or `--rm` has its turn.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { formatTime } from "#base/clock";
import { errnoOf, isKind } from "#base/errors";
import type { ExitRecord, Task } from "#runtime";
import { releaseSharedMemory } from "./bundle.ts";
import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import { compressLog } from "./container-logs.ts";
import type { ContainerContext } from "./context.ts";
import { endHealth } from "./health.ts";
import { removeContainer } from "./remove.ts";
import { shouldRestart } from "./restart-policy.ts";
import { startContainer } from "./start.ts";

/** Follows a task to its end. Used by a start, and by the daemon's start for tasks that it finds alive. */
export function watchTask(context: ContainerContext, container: Container, task: Task): void {
  // The last daemon may have left some plain.
  compressLog(context, container);
  task.on("log-rotated", () => compressLog(context, container));
  task.on("oom", () => {
    container.record.state.oomKilled = true;
    context.index.note(container);
    emitContainerEvent(context, container, "oom");
  });
  task.exited.then(
    (exit) => handleExit(context, container, exit),
    (error: unknown) => handleLostShim(context, container, task, error),
  );
}

/** The shim was killed: nobody supervises what it started, so that is ended too, and counts as killed. */
async function handleLostShim(
  context: ContainerContext,
  container: Container,
  task: Task,
  error: unknown,
): Promise<void> {
  context.log.error({ id: container.id, err: error }, "lost the shim of a container");
  await context.spawner
    .clean(task.bundle)
    .catch((err: unknown) => context.log.warn({ id: container.id, err }, "cannot clean up"));
  await handleExit(context, container, lostExit(context));
}

/** How a container ended that nobody saw ending: as moby records it after a crash of its own. */
export const lostExit = (context: ContainerContext): ExitRecord => ({
  exitCode: 255,
  signal: 0,
  exitedAt: formatTime(context.clock.now()),
  oomKilled: false,
});

/** Counted from the start. */
const firstWaitMs = 200;

/** Never rejects. */
export async function handleExit(
  context: ContainerContext,
  container: Container,
  exit: ExitRecord,
  { mayRestart } = { mayRestart: true },
): Promise<void> {
  try {
    const isRestarting = await context.locks.run(container.id, () => settle(context, container, exit, mayRestart));
    if (isRestarting) return await restartLater(context, container);
    if (container.record.hostConfig.AutoRemove) await firstWait(context, container);
    if (!container.isRunning) await autoRemove(context, container);
  } catch (error) {
    context.log.error({ id: container.id, err: error }, "cannot handle the exit of a container");
  }
}

/** A client that starts a container with `--rm` and only then asks for its end still finds it: dockerd's removal takes as long. */
async function firstWait(context: ContainerContext, container: Container): Promise<void> {
  const nowMs = Number(context.clock.now() / 1_000_000n);
  const leftMs = Date.parse(container.record.state.startedAt) + firstWaitMs - nowMs;
  // A clock that was set back must not keep it.
  if (leftMs > 0 && !container.isRemovalAwaited) await context.clock.sleep(Math.min(leftMs, firstWaitMs));
}

async function settle(
  context: ContainerContext,
  container: Container,
  exit: ExitRecord,
  mayRestart: boolean,
): Promise<boolean> {
  const { record } = container;
  const { state } = record;
  container.shimClosed = container.task?.closed ?? Promise.resolve();
  container.task = undefined;
  container.run.abort();
  endHealth(container);
  for (const exec of container.execs.values()) {
    // One that never ran is forgotten with the run it was made for.
    if (!exec.isRunning) context.execs.delete(exec.id);
    exec.end(exec.exitCode ?? exit.exitCode);
  }
  container.execs.clear();
  await releaseRun(context, container);
  if (!record.hostConfig.AutoRemove) compressLog(context, container);

  const isWanted = container.isExitWanted || context.isShuttingDown || container.isManualRestart;
  const { exitCode } = exit;
  const { restartCount } = state;
  const isRestarting =
    mayRestart && shouldRestart(record.hostConfig.RestartPolicy, { exitCode, restartCount, isWanted });
  Object.assign(state, { pid: 0, exitCode, finishedAt: exit.exitedAt });
  state.oomKilled ||= exit.oomKilled;
  if (isRestarting) state.restartCount++;
  container.moveTo(isRestarting ? "restarting" : "exited");
  context.index.note(container);
  container.notifyStopped();

  // Whoever waited in this process (`docker stop`) speaks first: moby's order is stop, die.
  await nextTurn();
  const seconds = Math.max(0, Math.floor((Date.parse(exit.exitedAt) - Date.parse(state.startedAt)) / 1000));
  emitContainerEvent(context, container, "die", {
    exitCode: String(exitCode),
    execDuration: String(seconds),
  });
  return isRestarting;
}

/** Gives back what a run holds. What cannot be given back is logged, and found again at the daemon's next start. */
export async function releaseRun(context: ContainerContext, container: Container): Promise<void> {
  const { record } = container;
  const given = await Promise.allSettled([
    context.networks.detach(record),
    context.volumes.release(record.id),
    releaseSharedMemory(context, record),
  ]);
  for (const result of given) {
    if (result.status === "rejected")
      context.log.warn({ id: record.id, err: result.reason }, "cannot release a resource");
  }
  record.ports = {};
  record.sandboxId = "";
  record.sandboxKey = "";
}

async function restartLater(context: ContainerContext, container: Container): Promise<void> {
  const { state } = container.record;
  const runMs = Date.parse(state.finishedAt) - Date.parse(state.startedAt);
  container.run = new AbortController();
  const { signal } = container.run;
  await context.clock.sleep(container.restartBackoff.next(runMs), signal).catch(() => undefined);
  if (!signal.aborted && !context.isShuttingDown) return restart(context, container);
  await giveUpRestart(context, container, state.exitCode);
}

/** Of one between two runs. */
export async function restart(context: ContainerContext, container: Container): Promise<void> {
  const { exitCode } = container.record.state;
  try {
    await startContainer(context, container, { isManual: false });
  } catch (error) {
    context.log.warn({ id: container.id, err: error }, "cannot restart a container");
    await giveUpRestart(context, container, exitCode);
  }
}

/** `exitCode`: of its last run, whatever a start that failed has made of it. */
async function giveUpRestart(context: ContainerContext, container: Container, exitCode: number): Promise<void> {
  await context.locks.run(container.id, async () => {
    if (container.status !== "restarting") return;
    container.record.state.exitCode = exitCode;
    container.moveTo("exited");
    context.index.note(container);
    container.notifyStopped();
  });
}

/** What `--rm` asks for; also for one that a daemon's death kept from it. */
export async function autoRemove(context: ContainerContext, container: Container): Promise<void> {
  if (!container.record.hostConfig.AutoRemove || container.isManualRestart || container.isRemoved) return;
  try {
    await removeContainer(context, container, { force: true, removeVolumes: true, link: false }, container.id);
  } catch (error) {
    // Somebody else's `docker rm -f` was faster.
    if (isKind(error, "conflict") || container.isRemoved) return;
    context.log.error({ id: container.id, code: errnoOf(error), err: error }, "cannot remove a container with --rm");
    container.notifyRemoved(String(error));
  }
}
