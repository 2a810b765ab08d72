import { EngineError, messageOf } from "#base/errors";
import { findCgroupPaths, listPids } from "#runtime";
import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";
import { notRunning, runningTask } from "./errors.ts";
import { type Listing, parseArguments } from "./ps/arguments.ts";
import { type ContainerTop, format } from "./ps/format.ts";
import { readMachine, readProcess, readThreads } from "./ps/process.ts";
import { PsError } from "./ps/ps-error.ts";

/**
 * What dockerd gets by running the host's ps, and we by reading /proc: the daemon never forks, and a minimal host has no ps.
 * The words, titles and quirks of procps are kept, since clients parse them.
 */
export async function topContainer(
  context: ContainerContext,
  container: Container,
  psArguments: string,
): Promise<ContainerTop> {
  refuseHiddenPid(psArguments);
  runningTask(container);
  const { pid } = container.record.state;
  const listing = listingOf(psArguments === "" ? "-ef" : psArguments);
  const paths = findCgroupPaths(pid);
  if (paths === undefined) throw notRunning(container.id);
  const pids = listPids(paths).sort((a, b) => a - b);
  const tasksOf = listing.threads === "none" ? async () => [] : readThreads;
  const read = async (pid: number) => {
    const [process, tasks] = await Promise.all([readProcess(pid), tasksOf(pid)]);
    return process === undefined ? [] : [{ ...process, tasks }];
  };
  const processes = (await Promise.all(pids.map(read))).flat();
  const machine = await readMachine(Number(context.clock.now() / 1_000_000n));
  const result = format(listing, processes, machine);
  emitContainerEvent(context, container, "top");
  return result;
}

/** Moby refuses to look for its PID column under a title of the client's choosing. */
function refuseHiddenPid(psArguments: string): void {
  for (const [, name, title] of psArguments.matchAll(/\s+([^\s]*)=\s*(PID[^\s]*)/g)) {
    if (name !== "pid") throw new EngineError("system", `specifying "${name}=${title}" is not allowed`);
  }
}

function listingOf(psArguments: string): Listing {
  try {
    return parseArguments(psArguments.split(" ").filter((word) => word !== ""));
  } catch (error) {
    if (error instanceof PsError) throw new EngineError("system", `ps: ${messageOf(error)}`);
    throw error;
  }
}
