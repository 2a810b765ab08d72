import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { lineOf } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
});
after(() => daemon[Symbol.asyncDispose]());

test("logs: both streams, tail, timestamps, since and details", async () => {
  const script = "for i in 1 2 3 4 5; do echo line $i; done; echo e1 >&2";
  await daemon.ok("run", "--name", "l1", "--label", "x=y", "--log-opt", "labels=x", "busybox", "sh", "-c", script);
  const all = await daemon.docker(["logs", "l1"]);
  assert.deepEqual([all.stdout, all.stderr], ["line 1\nline 2\nline 3\nline 4\nline 5\n", "e1\n"]);
  assert.equal((await daemon.docker(["logs", "--tail", "3", "l1"])).stdout.split("\n").length, 3);
  assert.match(await daemon.ok("logs", "-t", "--tail", "2", "l1"), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z line 5$/);
  assert.equal(await daemon.ok("logs", "--since", "2999-01-01T00:00:00Z", "l1"), "");
  assert.equal(await daemon.ok("logs", "--until", "2001-01-01T00:00:00Z", "l1"), "");
  assert.match(await daemon.ok("logs", "--details", "--tail", "2", "l1"), /^x=y line 5$/);
  await daemon.ok("rm", "l1");
});

test("logs -f: ends with the container, with every line", async () => {
  const script = "read go; i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo $i; done";
  await daemon.ok("run", "-di", "--name", "f1", "busybox", "sh", "-c", script);
  const following = daemon.docker(["logs", "-f", "f1"]);
  await daemon.docker(["attach", "f1"], { stdin: "go\n" });
  const { stdout, status } = await following;
  assert.equal(status, 0);
  assert.equal(stdout, Array.from({ length: 2000 }, (_, i) => `${i + 1}\n`).join(""));
  await daemon.ok("rm", "-f", "f1");
});

test("logs: rotated files are read as one", async () => {
  const flags = ["--log-opt", "max-size=20k", "--log-opt", "max-file=3"];
  await daemon.ok(
    "run",
    "--name",
    "r1",
    ...flags,
    "busybox",
    "sh",
    "-c",
    "i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo line $i; done",
  );
  const id = await daemon.ok("inspect", "-f", "{{.Id}}", "r1");
  const files = readdirSync(join(daemon.dataRoot, "containers", id)).filter((name) => name.includes("-json.log"));
  assert.ok(files.length > 1, files.join());
  const lines = (await daemon.ok("logs", "r1")).split("\n");
  assert.equal(lines.at(-1), "line 500");
  assert.equal(lines.length, 501 - Number(lines[0]?.slice(5)));
  await daemon.ok("rm", "r1");
});

test("logs: a very long line comes back as one", async () => {
  await daemon.ok("run", "--name", "long", "busybox", "sh", "-c", "yes 0123456789 | tr -d '\\n' | head -c 1000000");
  assert.equal((await daemon.docker(["logs", "long"])).stdout.length, 1_000_000);
  await daemon.ok("rm", "long");
});

test("logs: a terminal's log is as the terminal showed it", async () => {
  await daemon.ok("run", "-t", "--name", "tty", "busybox", "sh", "-c", "echo a; echo b >&2");
  assert.equal((await daemon.docker(["logs", "tty"])).stdout, "a\r\nb\r\n");
  await daemon.ok("rm", "tty");
});

test("logs: the local driver's files are read like any other", async () => {
  const script =
    "i=0; while [ $i -lt 900 ]; do i=$((i+1)); echo line $i; done; echo end >&2; yes x | tr -d '\\n' | head -c 40000; echo";
  const flags = ["--log-driver", "local", "--log-opt", "max-size=20k", "--log-opt", "compress=false"];
  await daemon.ok("run", "--name", "local", ...flags, "busybox", "sh", "-c", script);
  const { stdout, stderr } = await daemon.docker(["logs", "--tail", "500", "local"]);
  assert.equal(stderr, "end\n");
  assert.deepEqual(stdout.split("\n").slice(-3, -1), ["line 900", "x".repeat(40000)]);
  assert.match(
    await daemon.ok("logs", "-t", "--tail", "5", "local"),
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z line 900\n/,
  );
  assert.equal(await daemon.ok("logs", "--until", "2001-01-01T00:00:00Z", "local"), "");
  await daemon.ok("rm", "local");
});

test("logs: driver none cannot be read", async () => {
  await daemon.ok("run", "--name", "none", "--log-driver", "none", "busybox", "echo", "x");
  for (const query of ["stdout=1", "stdout=1&since=abc"]) {
    const { status, text } = await daemon.http.get(`/containers/none/logs?${query}`);
    assert.equal(status, 501);
    assert.match(text, /configured logging driver does not support reading/);
  }
  await daemon.ok("rm", "none");
});

test("logs: a reader that stops reading does not hold the container", async () => {
  await daemon.ok(
    "run",
    "-d",
    "--name",
    "w1",
    "busybox",
    "sh",
    "-c",
    "yes | head -c 20000000; echo end >&2; sleep 100",
  );
  const stalled = daemon.spawnDocker(["logs", "-f", "w1"]);
  stalled.stdout?.pause();
  const watching = daemon.spawnDocker(["logs", "-f", "--tail", "0", "w1"]);
  watching.stdout?.resume();
  const isOver = lineOf(watching, /end/).catch(() => "ended");
  await Promise.race([isOver, daemon.ok("exec", "w1", "sh", "-c", "until [ -d /proc/self ]; do :; done")]);
  stalled.kill("SIGKILL"); // the CLI handles SIGTERM, and is blocked in a write
  watching.kill("SIGKILL");
  await daemon.ok("rm", "-f", "w1");
});

test("logs: an option's value is looked at when the log is opened, in dockerd's words", async () => {
  const refusals: readonly (readonly [driver: string, option: string, words: string])[] = [
    ["json-file", "max-size=10q", "invalid suffix: 'q'"],
    ["json-file", "max-size=0", "max-size must be a positive number"],
    ["json-file", "max-file=x", 'strconv.Atoi: parsing "x": invalid syntax'],
    ["json-file", "compress=true", "compress cannot be true when max-file is less than 2 or max-size is not set"],
    ["json-file", "labels-regex=(", "error parsing regexp: missing closing ): `(`"],
    ["json-file", "tag={{.ID", "template: log-tag:1: unclosed action"],
    ["local", "max-file=1", "compression cannot be enabled when max file count is 1"],
    ["local", "compress=yes", 'error reading compress log option: strconv.ParseBool: parsing "yes": invalid syntax'],
  ];
  for (const [driver, option, words] of refusals) {
    await daemon.ok("create", "--name", "odd", "--log-driver", driver, "--log-opt", option, "busybox", "true");
    const prefix = "failed to create task for container: failed to initialize logging driver";
    const started = await daemon.docker(["start", "odd"]);
    assert.equal(started.stderr.split("\n")[0], `Error response from daemon: ${prefix}: ${words}`);
    assert.equal((await daemon.docker(["logs", "odd"])).stderr, `Error response from daemon: ${words}\n`);
    assert.equal(await daemon.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "odd"), "created 128");
    await daemon.ok("rm", "odd");
  }
});

test("logs: unknown drivers and options are refused at create, in dockerd's words", async () => {
  const refusal = async (...flags: string[]) => (await daemon.docker(["create", ...flags, "busybox"])).stderr.trim();
  const words = "Error response from daemon: ";
  assert.equal(
    await refusal("--log-driver", "nosuch"),
    `${words}error looking up logging plugin nosuch: plugin "nosuch" not found`,
  );
  assert.equal(
    await refusal("--log-driver", "local", "--log-opt", "tag=x"),
    `${words}unknown log opt 'tag' for log driver local`,
  );
  assert.equal(await refusal("--log-opt", "nope=1"), `${words}unknown log opt 'nope' for json-file log driver`);
  assert.equal(await refusal("--log-opt", "cache-disabled=x"), `${words}invalid value for option cache-disabled: x`);
});

test("logs: rotated files are compressed, while it is followed and without a line lost", async () => {
  for (const driver of ["json-file", "local"]) {
    const options = ["max-size=200k", "max-file=50", "compress=true"].flatMap((option) => ["--log-opt", option]);
    const script = "read go; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done; echo end";
    const name = `packed-${driver}`;
    await daemon.ok("run", "-di", "--name", name, "--log-driver", driver, ...options, "busybox", "sh", "-c", script);
    const following = daemon.docker(["logs", "-f", name]);
    await daemon.docker(["attach", name], { stdin: "go\n" });
    const expected = `${Array.from({ length: 20_000 }, (_, i) => `line ${i + 1}\n`).join("")}end\n`;
    assert.equal((await following).stdout, expected);
    assert.equal((await daemon.docker(["logs", name])).stdout, expected);
    const id = await daemon.ok("inspect", "-f", "{{.Id}}", name);
    await daemon.restart(); // ends what is being compressed, or lets it end
    const files = readdirSync(join(daemon.dataRoot, "containers", id), { recursive: true }).map(String);
    assert.ok(files.filter((file) => file.endsWith(".gz")).length > 1, files.join());
    assert.equal((await daemon.docker(["logs", name])).stdout, expected);
    await daemon.ok("rm", name);
  }
});
