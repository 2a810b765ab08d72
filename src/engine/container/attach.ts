import type { Duplex } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { EngineError } from "#base/errors";
import { writeThrough } from "#base/write-through";
import type { Attachment, Task } from "#runtime";
import { parseDetachKeys } from "../stream/detach-keys.ts";
import { attachFor, pump } from "../stream/pump.ts";
import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import { readContainerLogs } from "./container-logs.ts";
import type { ContainerContext } from "./context.ts";
import type { AttachOptions, AttachSession } from "./options.ts";

/** Checks, and registers at once: a `start` that comes after this call waits until the client is connected. */
export function attachContainer(
  context: ContainerContext,
  container: Container,
  options: AttachOptions,
  reference: string,
): AttachSession {
  const detachKeys = parseDetachKeys(options.detachKeys);
  if (detachKeys === undefined) {
    throw new EngineError("invalidParameter", `Invalid detach keys (${options.detachKeys}) provided`);
  }
  if (container.status === "paused") {
    throw new EngineError("conflict", `container ${reference} is paused, unpause the container before attach`);
  }
  if (container.status === "restarting") {
    throw new EngineError("conflict", `container ${reference} is restarting, wait until the container is running`);
  }
  const { config } = container.record;
  const stdin = options.stdin && config.OpenStdin;
  return {
    isTty: config.Tty,
    connect: async (client) => {
      if (options.logs) await sendLogs(context, container, options, client);
      emitContainerEvent(context, container, "attach");
      const isJoined = stdin || options.stdout || options.stderr;
      if (!options.stream || !isJoined) return void client.end();
      // A container's terminal is raw for everyone, as the reply's type says.
      const form = { isTty: config.Tty, framing: config.Tty ? "raw" : options.framing } as const;
      let settled: (() => Promise<unknown>) | undefined;
      const attachment = await attachedTo(container, client, (task) => {
        settled = () => endOf(task).then(() => context.locks.run(container.id, async () => undefined));
        return attachFor(client, task, { stdin, stdout: options.stdout, stderr: options.stderr, ...form });
      });
      if (attachment === undefined) return void client.end();
      const end = await pump(client, attachment, {
        ...form,
        stdin,
        detachKeys,
        closesStdin: config.StdinOnce && !config.Tty,
        ...(settled === undefined ? {} : { settled }),
      });
      if (end === "detached") emitContainerEvent(context, container, "detach");
    },
  };
}

/** By then whoever records it waits for the container's lock: who asks for it next finds the exit code. */
const endOf = (task: Task): Promise<unknown> => task.exited.catch(() => undefined).then(() => nextTurn());

/**
 * The shim's side of an attach: at once, or when a start has created the task, and then before the process runs. Undefined:
 * the client has left, the start has failed, or the container was removed.
 */
function attachedTo(
  container: Container,
  client: Duplex,
  attach: (task: Task) => Promise<Attachment>,
): Promise<Attachment | undefined> {
  if (container.task !== undefined) return attach(container.task);
  if (container.isRemoved) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const bind = async (task: Task | undefined) => {
      client.off("close", leave);
      // A client that cannot be connected must not fail the start that it waited for.
      resolve(task === undefined ? undefined : await attach(task).catch(() => undefined));
    };
    const leave = () => {
      container.pendingAttaches.delete(bind);
      resolve(undefined);
    };
    client.once("close", leave);
    container.pendingAttaches.add(bind);
  });
}

async function sendLogs(
  context: ContainerContext,
  container: Container,
  options: AttachOptions,
  client: Duplex,
): Promise<void> {
  const { stdout, stderr } = options;
  const framing = container.record.config.Tty ? "raw" : options.framing;
  const wanted = { stdout, stderr, follow: false, timestamps: false, details: false, framing };
  await writeThrough(
    client,
    readContainerLogs(context, container, () => wanted, AbortSignal.any([])),
  );
}
