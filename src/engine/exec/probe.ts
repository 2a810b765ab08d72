import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
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
  let output: Promise<string>;
  try {
    await beginExec(context, container, exec);
    const shim = await runningTask(container).attach({ stdin: false, stdout: true, stderr: true, exec: exec.id });
    output = collect(shim.pipe(new StdcopyStrip()));
    await launchExec(context, container, exec);
  } catch (error) {
    failExec(container, exec, error);
    throw error instanceof RuntimeError ? execFailureOf(error).error : error;
  }
  const late = new AbortController();
  const timer = delay(timeoutMs, "late" as const, { signal: AbortSignal.any([late.signal, signal]) });
  const end = await Promise.race([exec.ended, timer.catch(() => "late" as const)]);
  late.abort();
  if (end !== "late") return { exitCode: end, output: await output };
  await container.task?.execKill(exec.id, SIGKILL).catch(() => undefined);
  const text = await output;
  const message = `Health check exceeded timeout (${formatSeconds(timeoutMs)})`;
  return { exitCode: -1, output: text === "" ? message : `${message}: ${text}` };
}

const formatSeconds = (ms: number): string => (ms < 1000 ? `${ms}ms` : `${ms / 1000}s`);

/** Reads to the end, and keeps the first bytes. */
async function collect(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    if (Buffer.isBuffer(chunk) && length < maxOutputBytes) chunks.push(chunk);
    length += chunk.length;
  }
  const text = Buffer.concat(chunks).subarray(0, maxOutputBytes).toString();
  return length > maxOutputBytes ? `${text}...` : text;
}
