import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { args, both, inTerminal, isOurs, Place, runtime, shell } from "./launcher-rig.ts";

// Further processes in a container, terminals, and how failures are told. RUNTIME names the runtime, as in launcher.test.ts.

test("exec: exit code, environment, user, folder and streams", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("sleep", "1000"));
  await bundle.detached("run");
  assert.deepEqual(await bundle.exec(["sh", "-c", "echo out; echo err >&2; exit 3"]), {
    code: 3,
    stdout: "out\n",
    stderr: "err\n",
  });
  const asUser = await bundle.exec(
    ["sh", "-c", "id -u; id -g; pwd; echo $X"],
    ["--user", "12:34", "--cwd", "/tmp", "--env", "X=1 2"],
  );
  assert.equal(asUser.stdout, "12\n34\n/tmp\n1 2\n", asUser.stderr);
});

test("exec: the process is in the container's namespaces and cgroups", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("sleep", "1000"));
  await bundle.detached("run");
  const script =
    "for n in pid net ipc uts mnt; do [ $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) ] || echo $n; done; cat /proc/self/cgroup; ls /proc/self/fd";
  const result = await bundle.exec(["sh", "-c", script]);
  const groups = result.stdout.split("\n").filter((line) => line.includes(":/"));
  assert.ok(groups.length > 0, result.stderr);
  for (const line of groups) assert.match(line, new RegExp(`${place.cgroup}/${bundle.id}$`));
  assert.match(result.stdout, /\n0\n1\n2\n3\n$/);
  assert.match(result.stdout, /^\d+:/, "a namespace differs");
});

test("exec: a process.json decides everything, and --detach leaves the process running", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("sleep", "1000"));
  await bundle.detached("run");
  const file = join(bundle.directory, "process.json");
  await writeFile(
    file,
    JSON.stringify({ args: ["sleep", "1000"], cwd: "/tmp", env: ["PATH=/bin"], user: { uid: 5, gid: 6 } }),
  );
  const pidFile = join(bundle.directory, "exec.pid");
  const result = await bundle.execDetached("--process", file, "--pid-file", pidFile);
  assert.equal(result.code, 0, result.stderr);
  const status = await readFile(`/proc/${await readFile(pidFile, "utf8")}/status`, "utf8");
  assert.match(status, /Uid:\s+5/);
  // What it says nothing of is the container's: not less confined (youki#3434).
  const init = await readFile(`/proc/${(await bundle.state()).pid}/status`, "utf8");
  assert.equal(/CapBnd:\s+\w+/.exec(status)?.[0], /CapBnd:\s+\w+/.exec(init)?.[0]);
});

test("exec: the container's seccomp profile holds for it too", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(args("sleep", "1000"), (spec) => {
      spec.linux = {
        ...spec.linux,
        seccomp: {
          defaultAction: "SCMP_ACT_ALLOW",
          architectures: ["SCMP_ARCH_X86_64"],
          syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO", errnoRet: 28 }],
        },
      };
    }),
  );
  await bundle.detached("run");
  assert.match((await bundle.exec(["mkdir", "/x"])).stderr, /No space left/);
});

test("exec: the agent of a filter that notifies hears of the process, and of the container's state", {
  timeout: 30_000,
}, async () => {
  await using place = await Place.make();
  const heard: string[] = [];
  const hasBoth = Promise.withResolvers<void>();
  const agent = createServer((socket) =>
    socket.on("data", (bytes) => {
      if (heard.push(bytes.toString()) === 2) hasBoth.resolve();
    }),
  );
  const path = join(place.directory, "agent.sock");
  await new Promise<void>((resolve) => agent.listen(path, resolve));
  const bundle = await place.bundle(
    both(args("sleep", "1000"), (spec) => {
      spec.linux = {
        ...spec.linux,
        seccomp: {
          defaultAction: "SCMP_ACT_ALLOW",
          architectures: ["SCMP_ARCH_X86_64"],
          listenerPath: path,
          listenerMetadata: "who asks",
          syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
        },
      };
    }),
  );
  await bundle.detached("run");
  const { pid } = await bundle.state();
  assert.equal((await bundle.exec(["true"])).code, 0);
  await hasBoth.promise;
  agent.close();
  const states = heard.map((text) => JSON.parse(text));
  assert.deepEqual(
    states.map((state) => [state.metadata, state.fds, state.state.status, state.state.pid]),
    ["creating", "running"].map((status) => ["who asks", ["seccompFd"], status, pid]),
  );
  assert.equal(states[0].pid, pid);
  assert.notEqual(states[1].pid, pid);
});

test("exec: a paused and a stopped container refuse", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("sleep", "1000"));
  await bundle.detached("run");
  await bundle.call("pause", bundle.id);
  assert.notEqual((await bundle.exec(["true"])).code, 0);
  await bundle.call("resume", bundle.id);
  assert.equal((await bundle.exec(["true"])).code, 0);
});

test("a terminal: run and exec have one, of the size asked for", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(shell("tty; stat -c %t /dev/console; test -t 0 && test -t 2 && echo is-terminal; exit 5"), (spec) => {
      if (spec.process) spec.process.terminal = true;
    }),
  );
  const result = await inTerminal(runtime, ["--root", place.root, "run", "--bundle", bundle.directory, bundle.id]);
  assert.match(result.stdout, /^\/dev\/pts\/0\r\n88\r\nis-terminal\r\n/);
  assert.equal(result.code, 5);
  const running = await place.bundle(args("sleep", "1000"));
  await running.detached("run");
  const exec = await inTerminal(runtime, ["--root", place.root, "exec", "--tty", running.id, "tty"]);
  assert.match(exec.stdout, /^\/dev\/pts\/0\r+\n$/);
});

test("list and ps show the containers and their processes", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("sleep", "1000"));
  await bundle.detached("run");
  const { pid } = await bundle.state();
  const list = await place.runtime(["list"]);
  assert.match(list.stdout, new RegExp(`^${bundle.id} +${pid} +running +${bundle.directory} `, "m"));
  assert.deepEqual(JSON.parse((await bundle.call("ps", "--format", "json", bundle.id)).stdout), [pid]);
});

const failures: readonly { readonly name: string; readonly words: string[]; readonly message: string }[] = [
  { name: "an unknown command", words: ["nosuch"], message: 'exec: "nosuch": executable file not found in $PATH' },
  {
    name: "an unknown path",
    words: ["/no/such"],
    message: 'exec: "/no/such": stat /no/such: no such file or directory',
  },
  { name: "a folder", words: ["/etc"], message: 'exec: "/etc": is a directory' },
  { name: "a file that is not executable", words: ["/etc/passwd"], message: 'exec: "/etc/passwd": permission denied' },
];

for (const { name, words, message } of failures)
  test(`failures: ${name} is told in runc's words, by run and by exec`, {
    skip: runtime.endsWith("crun") && "crun has its own",
  }, async () => {
    await using place = await Place.make();
    const bundle = await place.bundle(args(...words));
    const created = await bundle.detached("create");
    assert.equal(created.code, 1);
    assert.equal(
      await lastMessage(join(bundle.directory, "log")),
      `runc create failed: unable to start container process: error during container init: ${message}`,
    );
    const running = await place.bundle(args("sleep", "1000"));
    await running.detached("run");
    const log = join(running.directory, "exec.log");
    const exec = await place.runtime(["--log", log, "--log-format", "json", "exec", running.id, ...words]);
    assert.equal(exec.code, 255);
    assert.equal(await lastMessage(log), `exec failed: unable to start container process: ${message}`);
  });

test("failures: what only execve finds is told on the container's standard error", {
  skip: runtime.endsWith("crun") && "crun has its own",
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("/bin/bad"));
  await writeFile(join(bundle.rootfs, "bin/bad"), "neither ELF nor script", { mode: 0o755 });
  assert.deepEqual(await bundle.run(), { code: 255, stdout: "", stderr: "exec /bin/bad: exec format error\n" });
});

test("failures: the log names stage and errno", { skip: !isOurs && "ours only" }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("nosuch"));
  await bundle.detached("create");
  const lines = (await readFile(join(bundle.directory, "log"), "utf8")).trim().split("\n");
  const line: unknown = JSON.parse(lines.at(-1) ?? "");
  assert.partialDeepStrictEqual(line, { level: "error", stage: "exec", errno: 2 });
});

async function lastMessage(log: string): Promise<string> {
  const line: unknown = JSON.parse((await readFile(log, "utf8")).trim().split("\n").at(-1) ?? "");
  return typeof line === "object" && line !== null && "msg" in line ? String(line.msg) : "";
}

test("seccomp: a filter that forbids execve, and exit too, ends the container", async (t) => {
  if (!isOurs) return t.skip("runc waits for ever");
  await using place = await Place.make();
  const bundle = await place.bundle((spec) => {
    const names = ["execve", "execveat", "exit", "exit_group"];
    spec.linux = {
      ...spec.linux,
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        architectures: ["SCMP_ARCH_X86_64"],
        syscalls: [{ names, action: "SCMP_ACT_ERRNO" }],
      },
    };
  });
  assert.notEqual((await bundle.run()).code, 0);
});
