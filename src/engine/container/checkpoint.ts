import { lstat, mkdir, readdir, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { EngineError, errnoOf, messageOf } from "#base/errors";
import { RuntimeError } from "#runtime";
import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";
import { runningTask } from "./errors.ts";
import { endHealth, resumeHealth } from "./health.ts";
import type { CheckpointCreateOptions, CheckpointOptions, CheckpointPlace } from "./options.ts";
import { checkpointDirectory } from "./paths.ts";
import { waitForContainer } from "./wait.ts";

const exitTimeoutMs = 10_000;
const validName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** `reference` is what the caller called the container: moby's words repeat it. */
export async function createCheckpoint(
  context: ContainerContext,
  container: Container,
  options: CheckpointCreateOptions,
  reference: string,
): Promise<void> {
  const task = runningTask(container);
  const { name } = options;
  if (!validName.test(name))
    throw failure(`Invalid checkpoint ID (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  const directory = join(folderOf(context, container, options), name);
  if (await isDirectory(directory))
    throw failure(
      `cannot checkpoint container ${reference}: checkpoint with name ${name} already exists for container ${reference}`,
    );
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // containerd tells of the pause that a checkpoint is, and of its end.
  const isPaused = container.status === "paused";
  const goOn = () => {
    resumeHealth(context, container);
    emitContainerEvent(context, container, "unpause");
  };
  if (!isPaused) {
    endHealth(container);
    emitContainerEvent(context, container, "pause");
  }
  try {
    await task.checkpoint(directory, { exit: options.exit });
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    if (!isPaused) goOn();
    throw failure(`Cannot checkpoint container ${reference}: ${reasonOf(error, task.bundle)}`, error);
  }
  if (!isPaused && !options.exit) goOn();
  emitContainerEvent(context, container, "checkpoint");
  // The end is told a moment later; whoever starts the container next must find it stopped.
  if (options.exit)
    await waitForContainer(container, "not-running", AbortSignal.timeout(exitTimeoutMs)).catch(() => {});
}

export async function listCheckpoints(
  context: ContainerContext,
  container: Container,
  place: CheckpointPlace,
  reference: string,
): Promise<{ Name: string }[]> {
  const directory = folderOf(context, container, place);
  if (place.directory === "") await mkdir(directory, { recursive: true, mode: 0o700 });
  await expectDirectory(directory, "", reference);
  const entries = await readdir(directory, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({ Name: name }))
    .sort((one, other) => (one.Name < other.Name ? -1 : 1));
}

export async function removeCheckpoint(
  context: ContainerContext,
  container: Container,
  options: CheckpointOptions,
  reference: string,
): Promise<void> {
  await rm(await findCheckpoint(context, container, options, reference), { recursive: true, force: true });
}

/** The folder of a checkpoint that is there. */
export async function findCheckpoint(
  context: ContainerContext,
  container: Container,
  options: CheckpointOptions,
  reference: string,
): Promise<string> {
  // moby joins whatever name it gets; ".." would lead out of the folder.
  if (!validName.test(options.name)) throw missing(options.name, reference);
  const directory = join(folderOf(context, container, options), options.name);
  await expectDirectory(directory, options.name, reference);
  return directory;
}

/** The folder of a checkpoint to go on from. It may come from elsewhere, and CRIU follows every link and reads every pipe. */
export async function findSoundCheckpoint(
  context: ContainerContext,
  container: Container,
  options: CheckpointOptions,
  reference: string,
): Promise<string> {
  const directory = await findCheckpoint(context, container, options, reference);
  const unsound = (what: string): EngineError =>
    failure(`checkpoint ${options.name} of container ${reference} cannot be used: ${what}`);
  if ((await lstat(directory)).isSymbolicLink()) throw unsound("it is a symbolic link");
  for (const entry of await readdir(directory, { withFileTypes: true }))
    if (!entry.isFile()) throw unsound(`${entry.name} is not a regular file`);
  return directory;
}

const folderOf = (context: ContainerContext, container: Container, { directory }: CheckpointPlace): string =>
  directory === "" ? checkpointDirectory(context.defaults, container.id) : resolve(directory);

/** moby has no kind for these: they are all 500. */
const failure = (message: string, cause?: unknown): EngineError => new EngineError("system", message, { cause });

const missing = (name: string, reference: string): EngineError =>
  failure(`checkpoint ${name} does not exist for container ${reference}`);

/** As containerd's shim tells what runc has told, with the place of CRIU's log. */
function reasonOf(error: unknown, bundle: string): string {
  if (!(error instanceof RuntimeError)) return messageOf(error);
  return `runc did not terminate successfully: exit status 1: ${error.runtimeMessage} path= ${join(bundle, "dump.log")}`;
}

async function expectDirectory(path: string, name: string, reference: string): Promise<void> {
  if (!(await isDirectory(path))) throw missing(name, reference);
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw failure(messageOf(error), error);
  }
  throw failure(`${path} exists and is not a directory`);
}
