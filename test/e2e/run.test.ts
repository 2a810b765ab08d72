import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run as runCommand } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";

/** `docker run` in all its forms; each container is gone when its command returns. */
let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
});
after(() => daemon[Symbol.asyncDispose]());

const run = (...argv: string[]) => daemon.ok("run", "--rm", ...argv);
const sh = (script: string, ...flags: string[]) => run(...flags, "busybox", "sh", "-c", script);

test("run: output of both streams and the exit status come back", async () => {
  const script = "echo out; echo err >&2; exit 7";
  const outcome = await daemon.docker(["run", "--rm", "busybox", "sh", "-c", script]);
  assert.deepEqual(outcome, { status: 7, stdout: "out\n", stderr: "err\n" });
});

const failures: readonly (readonly [name: string, argv: readonly string[], status: number, words: RegExp])[] = [
  [
    "a command that is not there",
    ["busybox", "nosuchcmd"],
    127,
    /exec: "nosuchcmd": executable file not found in \$PATH/,
  ],
  [
    "a path that is not there",
    ["busybox", "/no/such"],
    127,
    /exec: "\/no\/such": stat \/no\/such: no such file or directory/,
  ],
  ["a folder as command", ["busybox", "/etc"], 126, /exec: "\/etc": (is a directory: )?permission denied/],
  ["a file that may not be run", ["busybox", "/etc/passwd"], 126, /exec: "\/etc\/passwd": permission denied/],
  ["an unknown flag", ["--nosuch", "busybox"], 125, /unknown flag: --nosuch/],
  [
    "an unknown user",
    ["-u", "nosuch", "busybox"],
    125,
    /unable to find user nosuch: no matching entries in passwd file/,
  ],
  ["a signal", ["--init", "busybox", "sh", "-c", "kill -9 $$"], 137, /^$/],
];
for (const [name, argv, status, words] of failures) {
  test(`run: the status for ${name} is ${status}`, async () => {
    const outcome = await daemon.docker(["run", "--rm", ...argv]);
    assert.equal(outcome.status, status, outcome.stderr);
    assert.match(outcome.stderr, words);
    assert.equal(await daemon.ok("ps", "-aq"), "");
  });
}

test("run: standard input arrives whole, and its end too", async () => {
  const bytes = Buffer.alloc(1 << 20, "0123456789abcdef");
  const { stdout } = await daemon.docker(["run", "--rm", "-i", "busybox", "md5sum"], { stdin: bytes });
  const expected = await runCommand(["md5sum"], { stdin: bytes });
  assert.equal(stdout, expected.stdout);
});

test("run: output of many megabytes arrives whole", async () => {
  const { stdout } = await daemon.docker(["run", "--rm", "busybox", "sh", "-c", "yes 0123456789 | head -c 8388608"]);
  assert.equal(stdout.length, 8 << 20);
});

test("run: a terminal is a terminal", async () => {
  const command = "docker run --rm -t busybox sh -c 'tty; echo $TERM'";
  const { stdout } = await runCommand(["script", "-qec", command, "/dev/null"], { env: daemon.environment });
  assert.match(stdout, /^\/dev\/pts\/0\r+\nxterm\r+\n$/);
});

test("run: environment, folder, user, name and entrypoint are as asked", async () => {
  assert.equal(await run("-e", "A=1", "-e", "B=x y", "busybox", "sh", "-c", 'echo "$A $B $HOME"'), "1 x y /");
  assert.equal(await run("-w", "/made/here", "busybox", "pwd"), "/made/here");
  assert.equal(await run("-u", "1000:1001", "busybox", "id"), "uid=1000 gid=1001 groups=1001");
  assert.equal(await run("--hostname", "h1", "busybox", "hostname"), "h1");
  assert.equal(await run("--entrypoint", "echo", "busybox", "a", "b"), "a b");
  const containerId = await daemon.ok("run", "-d", "--name", "named", "busybox", "sleep", "60");
  assert.equal(await daemon.ok("inspect", "-f", "{{.Id}}", "named"), containerId);
  await daemon.ok("rm", "-f", "named");
});

test("run: a bind mount shows the host's file, and writes to it", async () => {
  const folder = mkdtempSync("/var/tmp/tools-bind-");
  writeFileSync(join(folder, "in"), "hello");
  assert.equal(await sh("cat /data/in; echo back > /data/out", "-v", `${folder}:/data`), "hello");
  assert.equal(readFileSync(join(folder, "out"), "utf8"), "back\n");
  const { stderr } = await daemon.docker(["run", "--rm", "-v", `${folder}:/data:ro`, "busybox", "touch", "/data/x"]);
  assert.match(stderr, /Read-only file system/);
  rmSync(folder, { recursive: true });
});

test("run: a named volume keeps what is written, and is filled from the image at first", async () => {
  assert.equal(
    await sh("echo kept > /etc/new; ls /etc", "-v", "vol:/etc"),
    "hostname\nhosts\nmtab\nnew\npasswd\nresolv.conf",
  );
  assert.equal(await sh("cat /v/new /v/passwd | head -1", "-v", "vol:/v"), "kept");
  await daemon.ok("volume", "rm", "vol");
});

test("run: an anonymous volume goes with --rm", async () => {
  await sh("touch /v/x", "-v", "/v");
  assert.equal(await daemon.ok("volume", "ls", "-q"), "");
});

test("run: tmpfs, read-only root, shm", async () => {
  assert.match(await sh("grep ' /t ' /proc/mounts", "--tmpfs", "/t:size=1m"), /tmpfs .*size=1024k/);
  const { stderr } = await daemon.docker(["run", "--rm", "--read-only", "busybox", "touch", "/x"]);
  assert.match(stderr, /Read-only file system/);
  assert.match(await sh("grep /dev/shm /proc/mounts", "--shm-size", "2m"), /size=2048k/);
});

test("run: limits are in the cgroup", async () => {
  const flags = ["--memory", "64m", "--cpus", "0.5", "--pids-limit", "77", "-d", "--name", "limited"];
  await daemon.ok("run", ...flags, "busybox", "sleep", "60");
  const [pid = ""] = [await daemon.ok("inspect", "-f", "{{.State.Pid}}", "limited")];
  const cgroup = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  const file = (controller: string, name: string) => {
    const path = new RegExp(`^\\d+:([^:]*,)?${controller}(,[^:]*)?:(.*)$`, "m").exec(cgroup)?.[3] ?? "";
    return readFileSync(join("/sys/fs/cgroup", controller, path, name), "utf8").trim();
  };
  assert.equal(file("memory", "memory.limit_in_bytes"), String(64 << 20));
  assert.equal(file("pids", "pids.max"), "77");
  assert.equal(file("cpu", "cpu.cfs_quota_us"), "50000");
  await daemon.ok("rm", "-f", "limited");
});

test("run: a container that takes too much memory is killed and says so", async () => {
  const script = "x=$(yes | head -c 200000000)";
  await daemon.docker([
    "run",
    "--name",
    "oom",
    "--memory",
    "16m",
    "--memory-swap",
    "16m",
    "busybox",
    "sh",
    "-c",
    script,
  ]);
  assert.equal(await daemon.ok("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "oom"), "true 137");
  await daemon.ok("rm", "oom");
});

test("run: ulimits and sysctls", async () => {
  assert.equal(await sh("ulimit -n", "--ulimit", "nofile=100:200"), "100");
  assert.equal(await sh("cat /proc/sys/net/ipv4/ip_forward", "--sysctl", "net.ipv4.ip_forward=0"), "0");
});

const capabilities = async (...flags: string[]) => await sh("grep CapEff /proc/self/status", ...flags);
test("run: capabilities are Docker's fourteen, more or fewer when asked", async () => {
  assert.match(await capabilities(), /00000000a80425fb$/);
  assert.match(await capabilities("--cap-drop", "ALL"), /0000000000000000$/);
  assert.match(await capabilities("--cap-drop", "ALL", "--cap-add", "CHOWN"), /0000000000000001$/);
  assert.match(await sh("grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges"), /1$/);
});

test("run: secrets of the kernel are masked, except when privileged", async () => {
  assert.equal(await sh("cat /proc/keys /proc/timer_list | wc -c"), "0");
  const { status } = await daemon.docker(["run", "--rm", "busybox", "sh", "-c", "echo 0 > /proc/sys/kernel/sysrq"]);
  assert.notEqual(status, 0);
  assert.match(await sh("ls /dev | wc -l", "--privileged"), /^\d{2,}$/);
});

test("run: seccomp filters, unless told not to", async () => {
  assert.match(await sh("grep Seccomp: /proc/self/status"), /2$/);
  assert.match(await sh("grep Seccomp: /proc/self/status", "--security-opt", "seccomp=unconfined"), /0$/);
});

test("run: --init reaps what nobody waits for", async () => {
  assert.match(await sh("cat /proc/1/comm", "--init"), /docker-init|minidock-init/);
});

test("run: networks none, host, and another container's", async () => {
  assert.equal(await sh("ls /sys/class/net", "--network", "none"), "lo");
  assert.equal(
    await sh("readlink /proc/self/ns/net", "--network", "host"),
    await daemon.inNetwork("readlink", "/proc/self/ns/net"),
  );
  await daemon.ok("run", "-d", "--name", "first", "busybox", "sleep", "60");
  const [first, second] = await Promise.all([
    daemon.ok("exec", "first", "readlink", "/proc/self/ns/net"),
    sh("readlink /proc/self/ns/net", "--network", "container:first"),
  ]);
  assert.equal(first, second);
  await daemon.ok("rm", "-f", "first");
});

test("run: namespaces may be the host's or another's", async () => {
  const host = (name: string) => `${name}:[${statSync(`/proc/self/ns/${name}`).ino}]`;
  assert.equal(await sh("readlink /proc/self/ns/pid", "--pid", "host"), host("pid"));
  assert.equal(await sh("readlink /proc/self/ns/uts", "--uts", "host"), host("uts"));
  assert.equal(await sh("readlink /proc/self/ns/ipc", "--ipc", "host"), host("ipc"));
});

test("run: no file descriptor of ours is open inside", async () => {
  assert.equal(await sh("ls /proc/self/fd"), "0\n1\n2\n3"); // 3 is ls reading the folder.
});

test("run: a namespace of a container that has stopped is 409 for IPC and 500 for PID, as with dockerd", async () => {
  await daemon.ok("run", "--name", "namespace-donor", "--ipc", "shareable", "busybox", "true");
  for (const [mode, status] of [
    ["IpcMode", 409],
    ["PidMode", 500],
  ] as const) {
    const body = { Image: "busybox", HostConfig: { [mode]: "container:namespace-donor" } };
    assert.equal((await daemon.http.post(`/containers/create?name=joins-${mode}`, body)).status, 201);
    assert.equal((await daemon.http.post(`/containers/joins-${mode}/start`)).status, status);
  }
});
