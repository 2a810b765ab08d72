import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { lineOf, stop } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
});
after(() => daemon[Symbol.asyncDispose]());

const inspect = (name: string, format: string) => daemon.ok("inspect", "-f", format, name);
const state = (name: string) => inspect(name, "{{.State.Status}} {{.State.ExitCode}}");

test("life: create, start, wait, start again, remove", async () => {
  const id = await daemon.ok("create", "--name", "life", "busybox", "sh", "-c", "exit 3");
  assert.match(id, /^[0-9a-f]{64}$/);
  assert.equal(await state("life"), "created 0");
  await daemon.ok("start", "life");
  assert.equal(await daemon.ok("wait", "life"), "3");
  assert.equal(await state("life"), "exited 3");
  assert.equal((await daemon.docker(["start", "-a", "life"])).status, 3);
  assert.equal(await daemon.ok("rm", "life"), "life");
});

test("life: a start that fails leaves its reason to waiters and inspect, its files in /etc, and no sandbox", async () => {
  await daemon.ok("create", "--name", "failed", "busybox", "nosuch");
  const { stderr } = await daemon.docker(["start", "failed"]);
  const reason = /exec: "nosuch": executable file not found in \$PATH/;
  assert.match(stderr, reason);
  const waited = (await daemon.http.post("/containers/failed/wait")).json() as {
    Error: { Message: string };
    StatusCode: number;
  };
  assert.equal(waited.StatusCode, 127);
  assert.match(waited.Error.Message, reason);
  const { SandboxID, SandboxKey } = JSON.parse(await inspect("failed", "{{json .NetworkSettings}}"));
  assert.deepEqual([SandboxID, SandboxKey], ["", ""]);
  for (const key of ["HostnamePath", "HostsPath", "ResolvConfPath", "LogPath"])
    assert.notEqual(await inspect("failed", `{{.${key}}}`), "");
  await daemon.ok("rm", "failed");
});

test("life: a name server that is no address is refused by the start", async () => {
  const HostConfig = { Dns: ["1.2.3"] };
  const created = await daemon.http.post("/containers/create", { Image: "busybox", Cmd: ["true"], HostConfig });
  const { Id: id } = created.json() as { Id: string };
  const reply = await daemon.http.post(`/containers/${id}/start`);
  const message = 'bad nameserver address 1.2.3: ParseAddr("1.2.3"): IPv4 address too short';
  assert.deepEqual([reply.status, reply.json()], [500, { message }]);
  await daemon.ok("rm", id);
});

test("life: stop asks first and kills then; the status tells which", async () => {
  const script = "trap 'exit 5' TERM; while :; do sleep 0.1; done";
  await daemon.ok("run", "-d", "--name", "polite", "busybox", "sh", "-c", script);
  await daemon.ok("stop", "polite");
  assert.equal(await state("polite"), "exited 5");
  await daemon.ok("run", "-d", "--name", "deaf", "busybox", "sleep", "100");
  await daemon.ok("stop", "-t", "0", "deaf");
  assert.equal(await state("deaf"), "exited 137");
  await daemon.ok("rm", "polite", "deaf");
});

test("life: kill sends the signal that is named", async () => {
  const script = "trap 'echo got usr1; exit 9' USR1; echo ready; while :; do sleep 0.1; done";
  await daemon.ok("run", "-d", "--name", "hit", "busybox", "sh", "-c", script);
  const logs = daemon.spawnDocker(["logs", "-f", "hit"]);
  await lineOf(logs, /ready/);
  const got = lineOf(logs, /got usr1/);
  await daemon.ok("kill", "-s", "USR1", "hit");
  await got;
  assert.equal(await daemon.ok("wait", "hit"), "9");
  const { stderr } = await daemon.docker(["kill", "hit"]);
  assert.match(stderr, /cannot kill container: hit: container [0-9a-f]{64} is not running/);
  await daemon.ok("rm", "hit");
});

test("life: restart gives a new process and keeps the files", async () => {
  const script = "echo x >> /count; cat /count; sleep 100";
  await daemon.ok("run", "-d", "--name", "again", "busybox", "sh", "-c", script);
  const pid = await inspect("again", "{{.State.Pid}}");
  await daemon.ok("restart", "-t", "0", "again");
  assert.notEqual(await inspect("again", "{{.State.Pid}}"), pid);
  assert.equal(await daemon.ok("exec", "again", "cat", "/count"), "x\nx");
  await daemon.ok("rm", "-f", "again");
});

test("life: a stop that may take a month is no kill", async () => {
  const script = "trap 'sleep 0.1; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
  await daemon.ok("run", "-d", "--name", "slow", "busybox", "sh", "-c", script);
  await lineOf(daemon.spawnDocker(["logs", "-f", "slow"]), /ready/);
  await daemon.ok("stop", "-t", "2592000", "slow");
  assert.equal(await state("slow"), "exited 7");
  await daemon.ok("rm", "slow");
});

test("life: a paused container stands still, and is not entered", async () => {
  await daemon.ok("run", "-d", "--name", "still", "busybox", "sleep", "100");
  await daemon.ok("pause", "still");
  assert.equal(await state("still"), "paused 0");
  assert.match(await daemon.ok("ps", "--format", "{{.Status}}", "-f", "name=still"), /\(Paused\)$/);
  const { stderr } = await daemon.docker(["exec", "still", "true"]);
  assert.match(stderr, /Container still is paused, unpause the container before exec|is paused, unpause/);
  await daemon.ok("unpause", "still");
  assert.equal(await state("still"), "running 0");
  await daemon.ok("rm", "-f", "still");
});

test("life: a paused container wakes for a signal that may end it, and an event tells so", async () => {
  const script = "trap 'echo awake' USR1; echo ready; while :; do sleep 0.05; done";
  await daemon.ok("run", "-d", "--name", "woken", "busybox", "sh", "-c", script);
  const logs = daemon.spawnDocker(["logs", "-f", "woken"]);
  await lineOf(logs, /ready/);
  await daemon.ok("pause", "woken");
  const events = daemon.spawnDocker(["events", "--since", "1", "-f", "container=woken"]);
  const unpaused = lineOf(events, / unpause /);
  const awake = lineOf(logs, /awake/);
  await daemon.ok("kill", "-s", "USR1", "woken");
  await Promise.all([unpaused, awake]);
  assert.equal(await state("woken"), "running 0");
  await stop(events);
  await daemon.ok("rm", "-f", "woken");
});

test("life: a container that ends by itself while it is killed is no failure", async () => {
  for (let round = 0; round < 20; round++) {
    await daemon.http.post("/containers/create?name=brief", { Image: "busybox", Cmd: ["top"] });
    await daemon.http.post("/containers/brief/start");
    assert.equal((await daemon.http.post("/containers/brief/restart?t=0")).text, "");
    assert.equal((await daemon.http.send("DELETE", "/containers/brief?force=1")).text, "");
  }
});

test("life: a start that fails before anything runs keeps the last exit code", async () => {
  await daemon.ok("run", "-d", "--name", "host", "busybox", "sleep", "100");
  await daemon.docker(["run", "--name", "guest", "--network", "container:host", "busybox", "sh", "-c", "exit 3"]);
  await daemon.ok("rm", "-f", "host");
  assert.match((await daemon.docker(["start", "guest"])).stderr, /No such container/);
  assert.equal(await state("guest"), "exited 3");
  await daemon.ok("rm", "guest");
});

test("life: an exec is forgotten with its container", async () => {
  await daemon.ok("run", "-d", "--name", "short", "busybox", "sleep", "100");
  const created = await daemon.http.post("/containers/short/exec", { Cmd: ["true"] });
  const [exec = ""] = /[0-9a-f]{64}/.exec(created.text) ?? [];
  await daemon.ok("rm", "-f", "short");
  const { status, text } = await daemon.http.get(`/exec/${exec}/json`);
  assert.equal(`${status} ${text.trim()}`, `404 {"message":"No such exec instance: ${exec}"}`);
});

test("restart policy: a restart that fails keeps the exit code of the last run, and says why", async () => {
  const source = join(daemon.folder, "source");
  await writeFile(source, "");
  const mount = `type=bind,src=${source},dst=/source`;
  const script = ["sh", "-c", "until [ -e /go ]; do sleep 0.05; done; exit 4"];
  await daemon.ok("run", "-d", "--name", "barred", "--restart", "always", "--mount", mount, "busybox", ...script);
  await rm(source);
  await daemon.ok("exec", "barred", "touch", "/go");
  while ((await inspect("barred", "{{.State.Status}}")) !== "exited");
  assert.match(await inspect("barred", "{{.State.ExitCode}} {{.State.Error}}"), /^4 .*no such file or directory$/);
  await daemon.ok("rm", "barred");
});

test("life: rename, and names in use", async () => {
  await daemon.ok("create", "--name", "old", "busybox");
  await daemon.ok("rename", "old", "new");
  assert.equal(await inspect("new", "{{.Name}}"), "/new");
  const { status, stderr } = await daemon.docker(["create", "--name", "new", "busybox"]);
  assert.equal(status, 1);
  assert.match(stderr, /Conflict. The container name "\/new" is already in use by container "[0-9a-f]{64}"/);
  await daemon.ok("rm", "new");
});

test("life: a running container is removed by force only", async () => {
  await daemon.ok("run", "-d", "--name", "held", "-v", "/anonymous", "busybox", "sleep", "100");
  const { stderr } = await daemon.docker(["rm", "held"]);
  assert.match(
    stderr,
    /cannot remove container "held": container is running: stop the container before removing or force remove/,
  );
  await daemon.ok("rm", "-fv", "held");
  assert.equal(await daemon.ok("volume", "ls", "-q"), "");
});

test("ps: filters, formats and order", async () => {
  await daemon.ok("create", "--name", "p1", "-l", "tier=a", "busybox");
  await daemon.ok("run", "-d", "--name", "p2", "-l", "tier=b", "busybox", "sleep", "100");
  await daemon.ok("run", "--name", "p3", "busybox", "true");
  const names = (...flags: string[]) => daemon.ok("ps", "--format", "{{.Names}}", ...flags);
  assert.equal(await names(), "p2");
  assert.equal(await names("-a"), "p3\np2\np1");
  assert.equal(await names("-l"), "p3");
  assert.equal(await names("-an", "2"), "p3\np2");
  assert.equal(await names("-a", "-f", "label=tier"), "p2\np1");
  assert.equal(await names("-a", "-f", "label=tier=a"), "p1");
  assert.equal(await names("-a", "-f", "status=created"), "p1");
  assert.equal(await names("-a", "-f", "exited=0", "-f", "status=exited"), "p3");
  assert.equal(await names("-a", "-f", "name=^p[13]$"), "p3\np1");
  assert.equal(await names("-a", "-f", "since=p1", "-f", "before=p3"), "p2");
  assert.equal(await names("-a", "-f", "ancestor=busybox", "-f", "name=p1"), "p1");
  const { stderr } = await daemon.docker(["ps", "-f", "bogus=1"]);
  assert.match(stderr, /invalid filter 'bogus'/);
  await daemon.ok("rm", "-f", "p1", "p2", "p3");
});

test("ps: each change shows in the next list", async () => {
  const format = "{{.Names}} {{.Image}} {{.State}} {{.Networks}} {{.Ports}}";
  const shown = async (...flags: string[]) => (await daemon.ok("ps", "-a", "--format", format, ...flags)).trimEnd();
  await daemon.ok("network", "create", "extra");
  await daemon.ok("tag", "busybox", "moving");
  await daemon.ok("create", "--name", "seen", "-p", "127.0.0.1:7777:80", "moving", "sleep", "1000");
  assert.equal(await shown(), "seen moving created bridge");
  await daemon.ok("rename", "seen", "other");
  assert.equal(await shown(), "other moving created bridge");
  await daemon.ok("network", "connect", "extra", "other");
  // Of two networks the CLI shows either first.
  assert.match(await shown(), /^other moving created .*extra/);
  await daemon.ok("start", "other");
  assert.match(await shown(), /^other moving running .*extra.* 127\.0\.0\.1:7777->80\/tcp$/);
  await daemon.ok("network", "disconnect", "bridge", "other");
  assert.match(await shown(), /^other moving running extra 127/);
  await daemon.ok("pause", "other");
  assert.match(await shown(), /^other moving paused /);
  await daemon.ok("kill", "other");
  await daemon.ok("wait", "other");
  assert.equal(await shown(), "other moving exited extra");
  await daemon.ok("commit", "other", "moving");
  assert.match(await shown(), /^other [0-9a-f]{12} exited extra$/);
  await daemon.ok("create", "--name", "parent", "--link", "other:alias", "busybox");
  assert.match(await shown("--no-trunc"), /^other,parent\/alias /m);
  await daemon.ok("rm", "parent");
  assert.match(await shown(), /^other [0-9a-f]{12} exited extra$/);
  await daemon.ok("rm", "other");
  await daemon.ok("rmi", "moving");
  await daemon.ok("network", "rm", "extra");
});

test("top: titles and processes are those of ps", async () => {
  await daemon.ok("run", "-d", "--name", "busy", "busybox", "sh", "-c", "sleep 100; true");
  const lines = (await daemon.ok("top", "busy")).split("\n").map((line) => line.trim().split(/\s+/));
  assert.deepEqual(lines[0], ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
  assert.deepEqual(
    lines.slice(1).map((fields) => fields.slice(7).join(" ")),
    ["sh -c sleep 100; true", "sleep 100"],
  );
  assert.match(await daemon.ok("top", "busy", "-o", "pid,comm"), /^PID +COMMAND\n\d+ +sh\n\d+ +sleep$/);
  assert.match((await daemon.docker(["top", "busy", "-eo", "cmd"])).stderr, /Couldn't find PID field in ps output/);
  await daemon.ok("rm", "-f", "busy");
});

test("stats: one look has figures, a stopped container has none", async () => {
  await daemon.ok("run", "-d", "--name", "measured", "-m", "64m", "busybox", "sleep", "100");
  const format = "{{.Name}} {{.PIDs}} {{.MemUsage}} {{.CPUPerc}}";
  assert.match(
    await daemon.ok("stats", "--no-stream", "--format", format, "measured"),
    /^measured 1 .*\/ 64MiB \d+\.\d+%$/,
  );
  await daemon.ok("rm", "-f", "measured");
  assert.match((await daemon.docker(["stats", "--no-stream", "measured"])).stderr, /No such container: measured/);
});

test("rm: a container that is gone in no time is still there for a client that starts it and then waits", async () => {
  const endOf = async (id: string) => {
    for (;;) {
      const { status, text } = await daemon.http.get(`/containers/${id}/json`);
      if (status === 404) return "gone";
      if (JSON.parse(text).State.Status === "exited") return (await daemon.http.post(`/containers/${id}/wait`)).text;
    }
  };
  const ends: string[] = [];
  // On a machine with too much to do any one of them may be late.
  for (let round = 0; round < 3; round++) {
    const body = { Image: "busybox", Cmd: ["true"], HostConfig: { AutoRemove: true, NetworkMode: "none" } };
    const { Id } = (await daemon.http.post("/containers/create", body)).json() as { Id: string };
    assert.equal((await daemon.http.post(`/containers/${Id}/start`)).status, 204);
    ends.push(await endOf(Id));
  }
  assert.ok(ends.includes('{"StatusCode":0}\n'), ends.join());
});

test("events: the life of a container is told in order", async () => {
  // With what has been told by then: the CLI's request may come after the run's.
  const since = String(Math.floor(Date.now() / 1000));
  const format = "{{.Type}} {{.Action}}";
  const events = daemon.spawnDocker(["events", "--since", since, "--format", format, "-f", "container=told"]);
  let seen = "";
  events.stdout?.on("data", (chunk: Buffer) => (seen += chunk));
  const ended = lineOf(events, /container destroy/);
  await daemon.ok("run", "--rm", "--name", "told", "busybox", "true");
  await ended;
  await stop(events);
  const actions = seen
    .trim()
    .split("\n")
    .filter((line) => line.startsWith("container"));
  assert.deepEqual(
    actions,
    ["create", "attach", "start", "die", "destroy"].map((action) => `container ${action}`),
  );
});

test("events: the past is told by --since and --until", async () => {
  const before = Math.floor(Date.now() / 1000);
  await daemon.ok("run", "--rm", "--name", "past", "busybox", "true");
  const told = await daemon.ok(
    "events",
    "--since",
    String(before),
    "--until",
    String(before + 60 - 59),
    "-f",
    "container=past",
  );
  assert.match(told, /container create [0-9a-f]{64} \(image=busybox, name=past\)|^$/);
});

test("info and version: the CLI finds what it prints", async () => {
  assert.equal(await daemon.ok("version", "--format", "{{.Server.APIVersion}} {{.Server.Os}}"), "1.51 linux");
  assert.equal(await daemon.ok("info", "--format", "{{.Driver}} {{.DockerRootDir}}"), `overlay2 ${daemon.dataRoot}`);
  assert.equal((await daemon.http.get("/_ping")).text, "OK");
});

test("restart policy: on-failure starts again as often as it says", async () => {
  await daemon.ok(
    "run",
    "-d",
    "--name",
    "stubborn",
    "--restart",
    "on-failure:2",
    "busybox",
    "sh",
    "-c",
    "echo try; exit 1",
  );
  const events = daemon.spawnDocker(["logs", "-f", "stubborn"]);
  await stop(events);
  // `wait` returns at each end; the last one stays.
  for (let count = ""; count !== "2 exited"; ) {
    await daemon.ok("wait", "stubborn");
    count = await inspect("stubborn", "{{.RestartCount}} {{.State.Status}}");
  }
  assert.equal(await daemon.ok("logs", "stubborn"), "try\ntry\ntry");
  await daemon.ok("rm", "stubborn");
});

test("update: limits and policy change while it runs", async () => {
  await daemon.ok("run", "-d", "--name", "updated", "busybox", "sleep", "100");
  await daemon.ok("update", "--memory", "32m", "--memory-swap", "32m", "--restart", "always", "updated");
  assert.equal(
    await inspect("updated", "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}"),
    `${32 << 20} always`,
  );
  await daemon.ok("update", "--pids-limit", "50", "updated");
  assert.equal(await inspect("updated", "{{.HostConfig.PidsLimit}}"), "50");
  await daemon.ok("update", "--pids-limit", "-1", "updated");
  assert.equal(await inspect("updated", "{{.HostConfig.PidsLimit}}"), "0");
  assert.match(
    await daemon.ok("exec", "updated", "sh", "-c", "cat /sys/fs/cgroup/pids/pids.max || cat /sys/fs/cgroup/pids.max"),
    /^max/,
  );
  await daemon.ok("rm", "-f", "updated");
});

test("parallel: 50 containers at once start, run and go", async () => {
  const outputs = await Promise.all(
    Array.from({ length: 50 }, (_, n) => daemon.ok("run", "--rm", "busybox", "echo", String(n))),
  );
  assert.deepEqual(
    outputs,
    Array.from({ length: 50 }, (_, n) => String(n)),
  );
  assert.equal(await daemon.ok("ps", "-aq"), "");
});
