/**
 * After a start: the database says what should be, the shims say what is. Containers that still run are taken over, ends that
 * nobody saw are recorded, and what the database does not know is removed.
 */
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Log } from "#base/log";
import {
  autoRemove,
  bundleDirectory,
  type Container,
  type ContainerContext,
  finishUpdate,
  handleExit,
  lostExit,
  needsOf,
  releaseRun,
  restart,
  shimSocket,
  shouldRestart,
  startContainer,
  watchHealth,
  watchTask,
} from "#engine";
import { RuntimeError, readExitRecord, Task, type TaskState } from "#runtime";
import type { ContainerState } from "#storage";

/** Connects to what runs. Returns the work that may take longer: ends, restarts, leftovers. */
export async function takeOver(context: ContainerContext): Promise<() => Promise<void>> {
  // Not only those that are recorded as running: a daemon may have died between a start and its record.
  const bundles = new Set(await readdir(join(context.defaults.execRoot, "containers")).catch(() => []));
  const found: Record<Finding, Container[]> = { alive: [], silent: [], gone: [] };
  // What clients make once it serves is none of this.
  const known = context.index.list();
  const unknown = await unknownFolders(context);
  await Promise.all(
    known.map(async (container) => {
      const mayRun = container.isRunning || bundles.has(container.id);
      found[mayRun ? await reconnect(context, container, silenceMs) : "gone"].push(container);
    }),
  );
  const recordsOf = (containers: readonly Container[]) => containers.map(({ record }) => record);
  const running = recordsOf([...found.alive, ...found.silent]);
  await context.networks.restore(running);
  await context.volumes.restore(running, recordsOf(found.gone));
  for (const container of found.silent) void follow(context, container);
  const ended = found.gone.filter((container) => container.isRunning);
  const stopped = found.gone.filter((container) => !container.isRunning);
  await Promise.all(stopped.map((container) => undoStart(context, container, bundles.has(container.id))));
  return async () => {
    await Promise.all(ended.map((container) => recordMissedExit(context, container, { mayRestart: false })));
    await startAgain(context, known);
    await Promise.all(known.map((container) => removeEnded(context, container)));
    for (const folder of unknown) await removeUnknown(context, folder);
  };
}

/** No shim: the container ended while nobody looked. A silent one may be stopped: whether its container runs, nobody can say. */
type Finding = "alive" | "silent" | "gone";

/** One that does not answer must not hold up the others. */
const silenceMs = 1000;

async function reconnect(context: ContainerContext, container: Container, patienceMs?: number): Promise<Finding> {
  const place = {
    bundle: bundleDirectory(context.defaults, container.id),
    socketPath: shimSocket(context.defaults, container.id),
  };
  const found = await Task.connect(place, patienceMs).catch(silent);
  if (found === undefined || found === "silent") return found ?? "gone";
  const { task, state } = found;
  if (state.status === "created" || state.status === "creating") {
    // The daemon died between create and start; nothing has run yet.
    await task.delete();
    return "gone";
  }
  if (container.status === "restarting" && state.exit !== undefined) {
    // The end of its last run was recorded.
    await task.closed;
    return "gone";
  }
  container.task = task;
  adopt(container.record.state, state);
  forgetExecs(task, state.execs);
  context.index.note(container);
  watchTask(context, container, task);
  watchHealth(context, container);
  if (container.record.isUpdating) {
    void finishUpdate(context, container, task).catch(logged(context.log, "cannot finish an update of limits"));
  }
  return "alive";
}

function silent(error: unknown): "silent" {
  if (error instanceof RuntimeError && error.isSilent) return "silent";
  throw error;
}

/** Until the shim answers, or is gone. */
async function follow(context: ContainerContext, container: Container): Promise<void> {
  context.log.warn({ id: container.id }, "the shim of a container does not answer");
  try {
    let finding: Finding = "silent";
    while (finding === "silent" && !context.isShuttingDown) finding = await reconnect(context, container);
    if (finding === "gone" && container.isRunning) await recordMissedExit(context, container, { mayRestart: true });
  } catch (err) {
    context.log.error({ id: container.id, err }, "cannot take over a container");
  }
}

/** Nobody will ask for those of the daemon before; the ones that still run end in their own time. */
function forgetExecs(task: Task, execs: TaskState["execs"]): void {
  const forget = (exec: string) => void task.execDelete(exec).catch(() => undefined);
  const running = new Set<string>();
  for (const { exec, pid, exitCode } of execs) {
    if (pid !== 0 && exitCode === undefined) running.add(exec);
    else forget(exec);
  }
  task.on("exec-exit", ({ exec }) => {
    if (running.delete(exec)) forget(exec);
  });
}

/** What the shim knows is newer than what the database says. An end is handled as one that happens now. */
function adopt(record: ContainerState, { status, pid, startedAt }: TaskState): void {
  // The daemon died between a start and its record.
  if (record.pid !== pid) Object.assign(record, { exitCode: 0, error: "", oomKilled: false });
  if (startedAt !== "") record.startedAt = startedAt;
  record.pid = pid;
  record.hasRun = true;
  record.status = status === "paused" ? "paused" : "running";
}

/** The daemon may have died in the middle of it. */
async function undoStart(context: ContainerContext, container: Container, hasBundle: boolean): Promise<void> {
  const isRecorded = container.record.sandboxId !== "";
  if (isRecorded || hasBundle) await releaseRun(context, container);
  if (isRecorded) context.index.note(container);
}

async function recordMissedExit(
  context: ContainerContext,
  container: Container,
  options: { readonly mayRestart: boolean },
): Promise<void> {
  const bundle = bundleDirectory(context.defaults, container.id);
  if (container.status === "restarting") return restart(context, container);
  container.isExitWanted = container.record.state.hasBeenManuallyStopped;
  const exit = await readExitRecord(bundle);
  if (exit === undefined) {
    await context.spawner.clean(bundle).catch(logged(context.log, "cannot clean up after a lost shim"));
  }
  await handleExit(context, container, exit ?? lostExit(context), options);
}

/** Containers that ran when the engine was stopped, and that their policy wants back. None waits for what it has no need of. */
async function startAgain(context: ContainerContext, known: readonly Container[]): Promise<void> {
  const starts = new Map<Container, Promise<unknown>>();
  const wanted = known.filter(isWantedBack).sort((a, b) => createdMs(a) - createdMs(b));
  for (const container of wanted) {
    const needed = Promise.all(needsOf(context, container).map((other) => starts.get(other)));
    const start = needed.then(() => startContainer(context, container, { isManual: false }));
    starts.set(container, start.catch(logged(context.log, "cannot start a container")));
  }
  await Promise.all(starts.values());
}

const createdMs = ({ record }: Container): number => Date.parse(record.created);

/** With `--rm`, also one that had never run: as moby does, for nobody would start it any more. */
async function removeEnded(context: ContainerContext, container: Container): Promise<void> {
  if (!container.isRunning) await autoRemove(context, container);
}

function isWantedBack({ status, record }: Container): boolean {
  const { RestartPolicy: policy } = record.hostConfig;
  const { exitCode, restartCount, hasRun, hasBeenManuallyStopped } = record.state;
  if (status !== "exited" || !hasRun) return false;
  const isWanted = policy.Name === "unless-stopped" && hasBeenManuallyStopped;
  return shouldRestart(policy, { exitCode, restartCount, isWanted });
}

/** Of containers whose row went, or was never written, before the daemon died: their files, their bundles and their shims' sockets. */
async function unknownFolders({ defaults, index }: ContainerContext): Promise<string[]> {
  const isKnown = new Set(index.list().flatMap(({ id }) => [id, basename(shimSocket(defaults, id))]));
  const { dataRoot, execRoot } = defaults;
  const places = [join(dataRoot, "containers"), join(execRoot, "containers"), join(execRoot, "shims")];
  const folders = places.map(async (place) => {
    const names = await readdir(place).catch(() => []);
    return names.filter((name) => !isKnown.has(name)).map((name) => join(place, name));
  });
  return (await Promise.all(folders)).flat();
}

/** A bundle may still have a shim. */
async function removeUnknown(context: ContainerContext, path: string): Promise<void> {
  const isBundle = path.startsWith(join(context.defaults.execRoot, "containers"));
  if (isBundle) await context.spawner.clean(path).catch(logged(context.log, "cannot clean up an unknown bundle"));
  await rm(path, { recursive: true, force: true, maxRetries: 5 }).catch(
    logged(context.log, "cannot remove a leftover"),
  );
}

const logged = (log: Log, message: string) => (err: unknown) => log.warn({ err }, message);
