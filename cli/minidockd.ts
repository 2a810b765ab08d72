/** The daemon's entry point: command line in, exit status out. What it starts is composed in src/daemon/main.ts. */

import { flushCompileCache } from "node:module";
import { join } from "node:path";
import { messageOf } from "#base/errors";
import { buildInfo } from "#daemon/build-info";
import { type Invocation, loadConfig } from "#daemon/config/load";
import type { Daemon } from "#daemon/main";
import { FlagError } from "./flags.ts";

/** dockerd gives up waiting for its containers at the third interrupt. */
const patience = 3;

async function main(): Promise<void> {
  process.title = "minidockd";
  // Set by bin/minidockd for this process; containers' runtimes and hooks have no use for them.
  delete process.env.NODE_COMPILE_CACHE;
  delete process.env.MALLOC_ARENA_MAX;
  const invocation = read();
  if (invocation === undefined) return;
  switch (invocation.kind) {
    case "help":
      return void process.stdout.write(invocation.text);
    case "version":
      return void process.stdout.write(`minidockd version ${buildInfo.version}, build ${buildInfo.commit}\n`);
    case "validated":
      return void process.stderr.write("configuration OK\n");
    case "run":
      return await run(invocation);
    default:
      return invocation satisfies never;
  }
}

function read(): Invocation | undefined {
  try {
    return loadConfig(process.argv.slice(2), process.env);
  } catch (error) {
    const hint = error instanceof FlagError ? "\nSee 'minidockd --help'." : "";
    return fail(messageOf(error) + hint);
  }
}

async function run({ configuration }: Extract<Invocation, { kind: "run" }>): Promise<void> {
  if (process.geteuid?.() !== 0) return fail("minidockd needs to be started with root privileges.");
  // Loaded only now: `--version` and a wrong flag answer at once.
  const { startDaemon } = await import("#daemon/main");
  const stopped = interrupted();
  try {
    const starting = startDaemon(configuration);
    reloadOnHangup(starting);
    reportOnUsr2(configuration.config.execRoot);
    await using _daemon = await starting;
    await stopped;
  } catch (error) {
    return fail(`failed to start daemon: ${messageOf(error)}`);
  }
  await exit(0);
}

/** process.exit would wait for threads, and those may wait for a disk that never answers. */
async function exit(status: number): Promise<never> {
  const { exitNow } = await import("#native");
  flushCompileCache();
  return exitNow(status);
}

/** One after the other, the first when all is up. */
function reloadOnHangup(starting: Promise<Daemon>): void {
  let turn: Promise<unknown> = starting.catch(() => undefined);
  process.on("SIGHUP", () => {
    turn = turn.then(async () => (await starting).reload());
  });
}

/** For who looks into one that is stuck: what it does at this moment. */
function reportOnUsr2(execRoot: string): void {
  process.on("SIGUSR2", () => process.report.writeReport(join(execRoot, `report-${Date.now()}.json`)));
}

/** Resolves at the first SIGTERM or SIGINT; at the third the process ends where it stands. */
function interrupted(): Promise<void> {
  let count = 0;
  return new Promise((resolve) => {
    const stop = () => {
      if (++count === patience) void exit(130);
      resolve();
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  });
}

function fail(message: string): undefined {
  process.stderr.write(`${message}\n`);
  process.exitCode = 1;
}

await main();
