import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { lineOf, stop } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon({ args: ["--live-restore"] });
});
after(() => daemon[Symbol.asyncDispose]());

const inspect = (name: string, format: string) => daemon.ok("inspect", "-f", format, name);
const health = (name: string) => inspect(name, "{{.State.Health.Status}}");

/** Starts a container that does nothing but being looked at every 50 ms. */
const runChecked = (name: string, check: string, ...options: string[]) =>
  daemon.ok(
    ...["run", "-d", "--name", name, "--health-cmd", check, "--health-interval", "50ms", ...options],
    ...["busybox", "sleep", "100"],
  );

/** The first event of a container, from its beginning on, that says this. */
async function eventOf(name: string, pattern: RegExp): Promise<string> {
  const events = daemon.spawnDocker(["events", "--since", "1", "-f", `container=${name}`]);
  const line = await lineOf(events, pattern);
  await stop(events);
  return line;
}

async function becomesHealthy(name: string): Promise<void> {
  while ((await health(name)) !== "healthy");
}

test("health: a check that nobody makes any more counts as failed, until one succeeds", async () => {
  await runChecked("well", "true");
  await becomesHealthy("well");
  await daemon.ok("pause", "well");
  assert.equal(await health("well"), "unhealthy");
  await daemon.ok("unpause", "well");
  await becomesHealthy("well");
  await daemon.ok("stop", "-t", "0", "well");
  assert.equal(await health("well"), "unhealthy");
  await daemon.ok("rm", "well");
});

test("health: a check that takes too long is given up, with the children that keep its output open", async () => {
  await runChecked("slow", "echo begun; sleep 90 & sleep 90", "--health-timeout", "1500ms", "--health-retries", "1");
  await eventOf("slow", /health_status: unhealthy/);
  const log = await inspect("slow", "{{with index .State.Health.Log 0}}{{.ExitCode}} {{.Output}}{{end}}");
  assert.equal(log, "-1 Health check exceeded timeout (1.5s): begun\n");
  assert.match(await eventOf("slow", /exec_die/), /exitCode=127/); // moby has forgotten the exec by then
  await daemon.ok("rm", "-f", "slow");
});

test("health: a daemon that takes a container over sees its health anew", async () => {
  await runChecked("taken", "test ! -e /ill", "--health-start-period", "1h", "--health-start-interval", "50ms");
  await becomesHealthy("taken");
  await daemon.ok("exec", "taken", "touch", "/ill");
  await daemon.restart();
  assert.equal(await inspect("taken", "{{.State.Health.Status}} {{.State.Health.FailingStreak}}"), "starting 0");
  await daemon.ok("exec", "taken", "rm", "/ill");
  await becomesHealthy("taken");
  await daemon.ok("rm", "-f", "taken");
});
