/** The steps of an exec, shared by `docker exec` and health checks: create, register with the shim, launch, end. */
import { EngineError, isKind } from "#base/errors";
import { RuntimeError } from "#runtime";
import type { Container } from "../container/container.ts";
import { emitContainerEvent } from "../container/container-events.ts";
import type { ContainerContext } from "../container/context.ts";
import { runningTask } from "../container/errors.ts";
import { readUserFiles } from "../container/files/user-files.ts";
import { linkEnvironment } from "../network/links/legacy-links.ts";
import { ensureProfile, execProcess } from "../spec/index.ts";
import { parseDetachKeys } from "../stream/detach-keys.ts";
import { Exec, type ExecConfig } from "./exec.ts";
import { execFailureOf } from "./exec-failure.ts";

/** What an exec that was killed with its container shows. */
const killedExitCode = 137;
/** What moby tells of the end of a health check that it has given up. */
const unknownExitCode = 127;

export async function createExec(context: ContainerContext, container: Container, config: ExecConfig): Promise<Exec> {
  const detachKeys = parseDetachKeys(config.detachKeys);
  if (detachKeys === undefined) {
    throw new EngineError("system", `Invalid escape keys (${config.detachKeys}) provided`);
  }
  const { ulimits, hasNoNewPrivileges } = context.defaults.spec;
  const process = execProcess(container.record, config, {
    readFile: await readUserFiles(context, container),
    host: context.host,
    linkEnvironment: linkEnvironment(container.record, (reference) => context.index.find(reference)?.record),
    ...(ulimits === undefined ? {} : { ulimits }),
    ...(hasNoNewPrivileges === undefined ? {} : { hasNoNewPrivileges }),
  });
  await ensureProfile(process);
  const exec = new Exec(container.id, config, process, detachKeys);
  context.execs.set(exec.id, exec);
  container.execs.set(exec.id, exec);
  emitContainerEvent(context, container, `exec_create: ${commandOf(config)}`, { execID: exec.id });
  return exec;
}

/** Registers the exec with the shim, so that it can be attached to. Once only. */
export async function beginExec(
  context: ContainerContext,
  container: Container,
  exec: Exec,
  consoleSize?: readonly [number, number] | undefined,
): Promise<void> {
  if (exec.exitCode !== undefined) throw new EngineError("conflict", `exec command ${exec.id} has already run`);
  if (exec.isRunning) throw new EngineError("conflict", `exec command ${exec.id} is already running`);
  exec.isRunning = true;
  emitContainerEvent(context, container, `exec_start: ${commandOf(exec.config)}`, { execID: exec.id });
  const size = consoleSize ?? exec.config.consoleSize;
  const hasSize = exec.process.terminal === true && size !== undefined;
  const process = hasSize ? { ...exec.process, consoleSize: { height: size[0], width: size[1] } } : exec.process;
  await runningTask(container).execCreate(exec.id, process, exec.config.attachStdin);
}

/** Starts the process of an exec that was begun, and follows it to its end. */
export async function launchExec(context: ContainerContext, container: Container, exec: Exec): Promise<void> {
  const { pid, exited } = await runningTask(container).execStart(exec.id);
  exec.begin(pid);
  const end = (exitCode: number) => {
    exec.end(exitCode);
    const isKnown = container.execs.delete(exec.id);
    const told = isKnown ? exitCode : unknownExitCode;
    emitContainerEvent(context, container, "exec_die", { execID: exec.id, exitCode: String(told) });
    void container.task?.execDelete(exec.id).catch(() => undefined);
  };
  exited.then(
    ({ exitCode }) => end(exitCode),
    () => end(killedExitCode),
  );
}

/** Ends an exec that has no process. A second start of the same exec fails too, and must not end the first. */
export function failExec(container: Container, exec: Exec, error: unknown): void {
  if (isKind(error, "conflict")) return;
  container.execs.delete(exec.id);
  void container.task?.execDelete(exec.id).catch(() => undefined);
  exec.end(error instanceof RuntimeError ? execFailureOf(error).exitCode : 126);
}

const commandOf = ({ cmd: [entrypoint = "", ...args] }: ExecConfig): string => `${entrypoint} ${args.join(" ")}`;
