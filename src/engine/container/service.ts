import type { Readable } from "node:stream";
import type { ContainerInspect } from "#api-schema/container-inspect";
import type { ContainerSummary } from "#api-schema/container-summary";
import { EngineError, type ErrorKind, messageOf } from "#base/errors";
import { Filters } from "../filters.ts";
import type { CommittedContainer } from "../image/commit.ts";
import { attachContainer } from "./attach.ts";
import { createCheckpoint, listCheckpoints, removeCheckpoint } from "./checkpoint.ts";
import { openForCommit } from "./commit-source.ts";
import type { Container } from "./container.ts";
import { readContainerLogs } from "./container-logs.ts";
import type { ContainerContext } from "./context.ts";
import { createContainer } from "./create/create.ts";
import { getArchive, putArchive, statPath } from "./files/archive.ts";
import { type Change, containerChanges } from "./files/changes.ts";
import { exportContainer } from "./files/export.ts";
import { inspectContainer } from "./inspect.ts";
import { killContainer } from "./kill.ts";
import { listContainers } from "./list/list.ts";
import type {
  AttachOptions,
  AttachSession,
  CheckpointCreateOptions,
  CheckpointOptions,
  CheckpointPlace,
  CreateOptions,
  ListOptions,
  LogOptions,
  LogStream,
  PathStat,
  PutArchiveOptions,
  RemoveOptions,
  StatsOptions,
  StopOptions,
  UpdateRequest,
  WaitCondition,
  WaitResult,
} from "./options.ts";
import { pauseContainer, unpauseContainer } from "./pause.ts";
import { type PruneReport, pruneContainers } from "./prune.ts";
import type { ContainerTop } from "./ps/format.ts";
import { removeContainer } from "./remove.ts";
import { renameContainer } from "./rename.ts";
import { resizeContainer } from "./resize.ts";
import { restartContainer } from "./restart.ts";
import { checkSignal, parseSignal } from "./signals.ts";
import { startContainer } from "./start.ts";
import { type ContainerStats, containerStats } from "./stats.ts";
import { stopContainer } from "./stop.ts";
import { topContainer } from "./top.ts";
import { updateContainer } from "./update.ts";
import { validateUpdate } from "./validate/update.ts";
import { waitForContainer } from "./wait.ts";

/** `docker container …`: every verb takes an id, a name or a prefix of an id, and each lives in the file of its name. */
export class ContainerService {
  readonly #context: ContainerContext;

  constructor(context: ContainerContext) {
    this.#context = context;
  }

  create(options: CreateOptions): Promise<{ Id: string; Warnings: string[] }> {
    return createContainer(this.#context, options);
  }

  /** From a checkpoint, if one is named. */
  async start(reference: string, checkpoint: CheckpointOptions = { name: "", directory: "" }): Promise<void> {
    if (checkpoint.name !== "" && !this.#context.defaults.isExperimental) {
      throw new EngineError("invalidParameter", "checkpoint is only supported in experimental mode");
    }
    const container = this.#get(reference);
    if (container.status === "paused") {
      throw new EngineError("conflict", "cannot start a paused container, try unpause instead");
    }
    if (container.isRunning) throw new EngineError("notModified", "container is already running");
    if (checkpoint.directory !== "") throw new EngineError("forbidden", "custom checkpointdir is not supported");
    await startContainer(this.#context, container, { isManual: true, checkpoint: checkpoint.name });
  }

  createCheckpoint(reference: string, options: CheckpointCreateOptions): Promise<void> {
    return createCheckpoint(this.#context, this.#get(reference), options, reference);
  }

  listCheckpoints(reference: string, place: CheckpointPlace): Promise<{ Name: string }[]> {
    return listCheckpoints(this.#context, this.#get(reference), place, reference);
  }

  removeCheckpoint(reference: string, options: CheckpointOptions): Promise<void> {
    return removeCheckpoint(this.#context, this.#get(reference), options, reference);
  }

  async stop(reference: string, options: StopOptions): Promise<void> {
    const container = this.#get(reference);
    if (!container.isRunning) throw new EngineError("notModified", "container is already stopped");
    // As in moby, whose wrapping here and below hides what kind of failure it was.
    await explained(
      `cannot stop container: ${reference}`,
      () => stopContainer(this.#context, container, options),
      "system",
    );
  }

  async restart(reference: string, options: StopOptions): Promise<void> {
    const container = this.#get(reference);
    const restart = () => restartContainer(this.#context, container, options);
    await explained(`Cannot restart container ${reference}`, restart, "system");
  }

  /** `signal` is a name or a number; "" is KILL. */
  async kill(reference: string, signal: string): Promise<void> {
    await explained(`cannot kill container: ${reference}`, async () => {
      const number = parseSignal(signal === "" ? "KILL" : signal);
      checkSignal(number);
      await killContainer(this.#context, this.#get(reference), number);
    });
  }

  pause(reference: string): Promise<void> {
    return pauseContainer(this.#context, this.#get(reference));
  }

  unpause(reference: string): Promise<void> {
    return unpauseContainer(this.#context, this.#get(reference));
  }

  async remove(reference: string, options: RemoveOptions): Promise<void> {
    await removeContainer(this.#context, this.#get(reference), options, reference);
  }

  async rename(reference: string, newName: string): Promise<void> {
    if (reference === "" || newName === "") {
      throw new EngineError("invalidParameter", "Neither old nor new names may be empty");
    }
    await renameContainer(this.#context, this.#get(reference), newName);
  }

  resize(reference: string, height: number, width: number): Promise<void> {
    return resizeContainer(this.#context, this.#get(reference), height, width);
  }

  async update(reference: string, request: UpdateRequest): Promise<{ Warnings: string[] | null }> {
    const checked = validateUpdate(request, this.#context.host);
    return updateContainer(this.#context, this.#get(reference), checked);
  }

  /** Returns when the waiter is registered, with the promise of the result: the client must have the headers by then. */
  wait(reference: string, condition: WaitCondition, signal: AbortSignal): { result: Promise<WaitResult> } {
    return { result: waitForContainer(this.#get(reference), condition, signal) };
  }

  attach(reference: string, options: AttachOptions): AttachSession {
    return attachContainer(this.#context, this.#get(reference), options, reference);
  }

  logs(reference: string, options: () => LogOptions, signal: AbortSignal): LogStream {
    const container = this.#get(reference);
    const chunks = readContainerLogs(this.#context, container, options, signal);
    return { isTty: container.record.config.Tty, chunks };
  }

  inspect(reference: string, options: { size: boolean }): Promise<ContainerInspect> {
    return inspectContainer(this.#context, this.#get(reference), options);
  }

  list(options: ListOptions): Promise<ContainerSummary[]> {
    return listContainers(this.#context, options);
  }

  /** Every container with the size of its writable layer. */
  diskUsage(): Promise<ContainerSummary[]> {
    return listContainers(this.#context, { all: true, limit: 0, size: true, filters: new Filters() });
  }

  top(reference: string, psArguments: string): Promise<ContainerTop> {
    return topContainer(this.#context, this.#get(reference), psArguments);
  }

  stats(reference: string, options: StatsOptions, signal: AbortSignal): AsyncIterable<ContainerStats> {
    return containerStats(this.#context, this.#get(reference), options, signal);
  }

  changes(reference: string): Promise<Change[]> {
    return containerChanges(this.#context, this.#get(reference));
  }

  export(reference: string, signal: AbortSignal): Promise<Readable> {
    return exportContainer(this.#context, this.#get(reference), signal);
  }

  statPath(reference: string, path: string): Promise<PathStat> {
    return statPath(this.#context, this.#get(reference), path, reference);
  }

  getArchive(reference: string, path: string, signal: AbortSignal): Promise<{ stat: PathStat; stream: Readable }> {
    return getArchive(this.#context, this.#get(reference), path, signal, reference);
  }

  putArchive(reference: string, path: string, tar: Readable, options: PutArchiveOptions): Promise<void> {
    return putArchive(this.#context, this.#get(reference), path, tar, options, reference);
  }

  /** For `docker commit`: paused, if asked to, until disposed. */
  openForCommit(reference: string, options: { readonly pause: boolean }): Promise<CommittedContainer> {
    return openForCommit(this.#context, this.#get(reference), options);
  }

  prune(filters: Filters, signal: AbortSignal): Promise<PruneReport> {
    return pruneContainers(this.#context, filters, signal);
  }

  #get(reference: string): Container {
    return this.#context.index.get(reference);
  }
}

/** Puts the operation before the reason, as moby's errors.Wrap does; what a caller can do about it stays the same. */
async function explained(operation: string, work: () => Promise<void>, kind?: ErrorKind): Promise<void> {
  try {
    await work();
  } catch (error) {
    const own = error instanceof EngineError ? error.kind : "system";
    throw new EngineError(kind ?? own, `${operation}: ${messageOf(error)}`, { cause: error });
  }
}
