import type { Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { formatDuration } from "#base/duration";
import { RuntimeError } from "#runtime";
import type { Container } from "../container/container.ts";
import type { ContainerContext } from "../container/context.ts";
import { runningTask } from "../container/errors.ts";
import { StdcopyStrip } from "../stream/stdcopy-strip.ts";
import { execFailureOf } from "./exec-failure.ts";
import { beginExec, createExec, failExec, launchExec } from "./run.ts";

export interface ProbeResult {
  /** -1 when it took too long. */
  readonly exitCode: number;
  readonly output: string;
}

const maxOutputBytes = 4096;
const SIGKILL = 9;

/** Runs one health check to its end, or kills it when its time is over or the container's run has ended. */
export async function runProbe(
  context: ContainerContext,
  container: Container,
  cmd: readonly string[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const exec = await createExec(context, container, {
    user: "",
    isPrivileged: false,
    isTty: false,
    consoleSize: undefined,
    attachStdin: false,
    attachStdout: true,
    attachStderr: true,
    detachKeys: "",
    env: [],
    workingDir: "",
    cmd,
  });
  let output: Output;
  try {
    await beginExec(context, container, exec);
    const shim = await runningTask(container).attach({ stdin: false, stdout: true, stderr: true, exec: exec.id });
    output = keepFirst(shim);
    await launchExec(context, container, exec);
  } catch (error) {
    failExec(container, exec, error);
    throw error instanceof RuntimeError ? execFailureOf(error).error : error;
  }
  const late = new AbortController();
  const timer = context.clock.sleep(timeoutMs, AbortSignal.any([late.signal, signal])).catch(() => undefined);
  const end = await Promise.race([exec.ended, timer.then(() => "late" as const)]);
  late.abort();
  if (end !== "late") {
    await output.complete;
    return { exitCode: end, output: output.text() };
  }
  // Nobody waits for its end: its children may live on and keep its output open.
  container.execs.delete(exec.id);
  void container.task?.execKill(exec.id, SIGKILL).catch(() => undefined);
  const text = output.text();
  const message = `Health check exceeded timeout (${formatDuration(timeoutMs)})`;
  return { exitCode: -1, output: text === "" ? message : `${message}: ${text}` };
}

interface Output {
  /** The first bytes of what came so far. */
  text(): string;
  readonly complete: Promise<void>;
}

function keepFirst(shim: Socket): Output {
  const strip = new StdcopyStrip();
  const chunks: Buffer[] = [];
  let length = 0;
  strip.on("data", (chunk: Buffer) => {
    if (length < maxOutputBytes) chunks.push(chunk);
    length += chunk.length;
  });
  const text = () => {
    const kept = Buffer.concat(chunks).subarray(0, maxOutputBytes).toString();
    return length > maxOutputBytes ? `${kept}...` : kept;
  };
  return { text, complete: pipeline(shim, strip).catch(() => undefined) };
}
