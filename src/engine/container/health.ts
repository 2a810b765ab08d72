/** HEALTHCHECK: a command that is run in the container again and again, and what its exit codes say (moby daemon/health.go). */
import type { HealthConfig } from "#api-schema/container-config";
import { formatTime } from "#base/clock";
import { messageOf } from "#base/errors";
import type { HealthState } from "#storage";
import { runProbe } from "../exec/probe.ts";
import type { Container } from "./container.ts";
import { emitContainerEvent } from "./container-events.ts";
import type { ContainerContext } from "./context.ts";

const defaults = { intervalMs: 30_000, timeoutMs: 30_000, startIntervalMs: 5_000, retries: 3 } as const;
const logLimit = 5;
const nsPerMs = 1e6;

interface Check {
  readonly command: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

/** Undefined for a container without a check, with NONE, or with a kind that nobody knows. */
function checkOf(config: HealthConfig | null, shell: readonly string[] | null): Check | undefined {
  const [kind, ...rest] = config?.Test ?? [];
  if (config === null || (kind !== "CMD" && kind !== "CMD-SHELL")) return undefined;
  const ms = (ns: number | bigint, fallback: number) => (ns > 0 ? Number(ns) / nsPerMs : fallback);
  return {
    command: kind === "CMD-SHELL" ? [...(shell ?? ["/bin/sh", "-c"]), ...rest] : rest,
    intervalMs: ms(config.Interval, defaults.intervalMs),
    timeoutMs: ms(config.Timeout, defaults.timeoutMs),
    startPeriodMs: ms(config.StartPeriod, 0),
    startIntervalMs: ms(config.StartInterval, defaults.startIntervalMs),
    retries: config.Retries > 0 ? Number(config.Retries) : defaults.retries,
  };
}

/** A run begins, or the daemon takes one over: its health is to be seen anew. */
export function watchHealth(context: ContainerContext, container: Container): void {
  const { config, state } = container.record;
  if (checkOf(config.Healthcheck, config.Shell) === undefined) {
    state.health = null;
    return;
  }
  state.health = { status: "starting", failingStreak: 0, log: state.health?.log ?? [] };
  resumeHealth(context, container);
}

/** Checks until `endHealth`, first when an interval has passed. */
export function resumeHealth(context: ContainerContext, container: Container): void {
  const { config } = container.record;
  const check = checkOf(config.Healthcheck, config.Shell);
  container.healthChecks = new AbortController();
  if (check !== undefined) void monitor(context, container, check, container.healthChecks.signal);
}

/** Nobody looks any more, for it has ended or is paused: that counts as unhealthy, and no event tells it (moby). */
export function endHealth(container: Container): void {
  const { health } = container.record.state;
  container.healthChecks.abort();
  if (health !== null) health.status = "unhealthy";
}

async function monitor(
  context: ContainerContext,
  container: Container,
  check: Check,
  signal: AbortSignal,
): Promise<void> {
  const startedAtMs = Date.parse(container.record.state.startedAt);
  const nowMs = () => Number(context.clock.now() / 1_000_000n);
  const isStarting = () =>
    nowMs() - startedAtMs < check.startPeriodMs && container.record.state.health?.status === "starting";
  for (;;) {
    const pauseMs = isStarting() ? check.startIntervalMs : check.intervalMs;
    const isOver = await context.clock.sleep(pauseMs, signal).then(
      () => false,
      () => true,
    );
    if (isOver || signal.aborted) return;
    const wasStarting = isStarting();
    const start = formatTime(context.clock.now());
    const result = await runProbe(context, container, check.command, check.timeoutMs, signal).catch(
      (error: unknown) => ({
        exitCode: -1,
        output: messageOf(error),
      }),
    );
    if (signal.aborted) return;
    judge(context, container, check, { ...result, start, end: formatTime(context.clock.now()) }, wasStarting);
  }
}

/** Failures within the start period do not count; a success ends it. */
function judge(
  context: ContainerContext,
  container: Container,
  check: Check,
  result: HealthState["log"][number],
  isForgiven: boolean,
): void {
  const health = container.record.state.health;
  if (health === null) return;
  const before = health.status;
  health.log = [...health.log, result].slice(-logLimit);
  if (result.exitCode === 0) {
    health.failingStreak = 0;
    health.status = "healthy";
  } else if (!isForgiven) {
    health.failingStreak++;
    if (health.failingStreak >= check.retries) health.status = "unhealthy";
  }
  context.index.note(container);
  if (health.status !== before) emitContainerEvent(context, container, `health_status: ${health.status}`);
}
