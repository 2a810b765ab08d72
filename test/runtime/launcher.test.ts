import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { lineOf } from "#test/command";
import { args, both, command, isGo, isOurs, isUnified, Place, runtime, shell } from "./launcher-rig.ts";

// What a container is, on a bundle, whichever runtime made it: RUNTIME=… runs the same cases on runc and crun.

test("run: the exit code is the process's, 128 and more for a signal", async () => {
  await using place = await Place.make();
  const exited = await place.bundle(shell("echo out; echo err >&2; exit 7"));
  assert.deepEqual(await exited.run(), { code: 7, stdout: "out\n", stderr: "err\n" });
  const killed = await place.bundle(shell("kill -9 $$"));
  // The init of a PID namespace does not die of its own signals, so a child does.
  const child = await place.bundle(shell("sh -c 'kill -9 $$'; exit $?"));
  assert.equal((await child.run()).code, 137);
  assert.equal((await killed.run()).code, 0);
});

test("run: the runtime in the foreground passes signals on, real-time ones too", {
  skip: isGo && "Go keeps this signal for itself",
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(shell('trap "exit 44" 34; echo ready; while :; do sleep 0.02; done'));
  const child = spawn(runtime, ["--root", place.root, "run", "--bundle", bundle.directory, bundle.id]);
  const end = once(child, "exit");
  await lineOf(child, /ready/);
  // By its number: node knows no real-time signals.
  await command("kill", ["-34", String(child.pid)]);
  assert.deepEqual(await end, [44, null]);
});

test("run: a caller who ignores the ends of its own children still gets the exit code", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(shell("exit 7"));
  const words = ["--root", place.root, "run", "--bundle", bundle.directory, bundle.id];
  const limited = ["--signal=KILL", "20", "env", "--ignore-signal=CHLD", runtime, ...words];
  assert.equal((await command("timeout", limited)).code, 7);
});

test("run: nothing of a container is left after its end", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle();
  assert.equal((await bundle.run()).code, 0);
  assert.deepEqual(await readdir(place.root), []);
  assert.deepEqual(await place.cgroupFolders(bundle.id), []);
});

test("the process is PID 1 in namespaces of its own, with its own hostname", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    shell("echo $$; hostname; for n in pid net ipc uts mnt user; do readlink /proc/self/ns/$n; done"),
  );
  const [pid, hostname, ...links] = (await bundle.run()).stdout.trim().split("\n");
  assert.equal(pid, "1");
  assert.equal(hostname, "box");
  for (const [index, name] of ["pid", "net", "ipc", "uts", "mnt"].entries())
    assert.notEqual(links[index], await readlink(`/proc/self/ns/${name}`), name);
  assert.equal(links[5], await readlink("/proc/self/ns/user"));
});

test("loopback is up in a new network namespace", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(shell("cat /sys/class/net/lo/operstate; ip link show lo | grep -c LOWER_UP"));
  assert.match((await bundle.run()).stdout, /1\n$/);
});

test("lifecycle: created, running, paused, stopped, gone", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("sleep", "1000"));
  assert.equal((await bundle.detached("create", "--pid-file", join(bundle.directory, "pid"))).code, 0);
  const created = await bundle.state();
  assert.equal(created.status, "created");
  assert.equal(await readFile(join(bundle.directory, "pid"), "utf8"), String(created.pid));
  assert.equal((await bundle.call("start", bundle.id)).code, 0);
  assert.equal((await bundle.state()).status, "running");
  const again = await bundle.call("start", bundle.id);
  assert.notEqual(again.code, 0);
  assert.equal((await bundle.call("pause", bundle.id)).code, 0);
  assert.equal((await bundle.state()).status, "paused");
  assert.equal((await bundle.call("resume", bundle.id)).code, 0);
  assert.notEqual((await bundle.call("delete", bundle.id)).code, 0);
  assert.equal((await bundle.call("kill", bundle.id, "KILL")).code, 0);
  await ended(created.pid);
  assert.equal((await bundle.state()).status, "stopped");
  assert.equal((await bundle.call("delete", bundle.id)).code, 0);
  assert.notEqual((await bundle.call("state", bundle.id)).code, 0);
  assert.deepEqual(await place.cgroupFolders(bundle.id), []);
});

test("delete: a created container that never started is removed, a running one only with --force", async () => {
  await using place = await Place.make();
  const created = await place.bundle(args("sleep", "1000"));
  await created.detached("create");
  assert.equal((await created.call("delete", created.id)).code, 0);
  const running = await place.bundle(args("sleep", "1000"));
  await running.detached("run");
  assert.equal((await running.call("delete", "--force", running.id)).code, 0);
  assert.deepEqual(await readdir(place.root), []);
  assert.equal((await running.call("delete", "--force", "never-was")).code, 0);
});

test("/dev has the default nodes and links, and nothing of the host's", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    shell(
      "cd /dev; ls | grep -v core; for d in null zero full random urandom tty; do stat -c '%n %t:%T %a' $d; done; readlink ptmx; readlink fd",
    ),
  );
  assert.equal(
    (await bundle.run()).stdout,
    `${["fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"].join("\n")}
null 1:3 666\nzero 1:5 666\nfull 1:7 666\nrandom 1:8 666\nurandom 1:9 666\ntty 5:0 666\npts/ptmx\n/proc/self/fd\n`,
  );
});

test("no descriptor but the three streams reaches the process, and --preserve-fds adds what it names", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(shell("exec ls /proc/self/fd"));
  // ls opens the folder itself, as the lowest that is free.
  assert.equal((await bundle.run()).stdout, "0\n1\n2\n3\n");
});

test("masked paths are empty, read-only paths refuse writes", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    shell(
      "wc -c < /proc/keys; ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/domainname || echo refused; touch /sys/x || echo refused",
    ),
  );
  assert.deepEqual((await bundle.run()).stdout.trim().split("\n"), ["0", "0", "refused", "refused"]);
});

test("the cgroup mount shows the container's own groups, read-only", {
  skip: isUnified && "v2 shows all without a namespace",
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    shell("cat /sys/fs/cgroup/pids/cgroup.procs | head -1; mkdir /sys/fs/cgroup/pids/x || echo refused"),
  );
  assert.equal((await bundle.run()).stdout, "1\nrefused\n");
});

test("capabilities: exactly the sets of the config, nothing inheritable, no_new_privs as asked", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(shell("grep -E '^(Cap|NoNew)' /proc/self/status"), (spec) => {
      if (spec.process) spec.process.noNewPrivileges = true;
    }),
  );
  const values = Object.fromEntries(
    (await bundle.run()).stdout
      .trim()
      .split("\n")
      .map((line) => line.split(/:\s+/)),
  );
  const mask = ((1n << 0n) | (1n << 1n) | (1n << 7n) | (1n << 6n) | (1n << 5n) | (1n << 27n))
    .toString(16)
    .padStart(16, "0");
  assert.deepEqual(values, {
    CapInh: "0".repeat(16),
    CapPrm: mask,
    CapEff: mask,
    CapBnd: mask,
    CapAmb: "0".repeat(16),
    NoNewPrivs: "1",
  });
});

test("capabilities: without the section nothing is kept, neither in run nor in exec", {
  skip: !isOurs && "runc keeps all",
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(args("sleep", "1000"), (spec) => {
      if (spec.process) delete spec.process.capabilities;
    }),
  );
  await bundle.detached("run");
  const exec = await bundle.exec(["grep", "CapBnd", "/proc/self/status"]);
  assert.match(exec.stdout, /CapBnd:\s+0{16}\n/);
  const { pid } = await bundle.state();
  assert.match(await readFile(`/proc/${pid}/status`, "utf8"), /CapBnd:\s+0{16}\n/);
});

test("user: uid, gid, groups and umask; HOME comes from the container's passwd", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(shell("id -u; id -g; id -G; umask; echo $HOME; grep CapEff /proc/self/status"), (spec) => {
      if (spec.process) spec.process.user = { uid: 1000, gid: 50, additionalGids: [7, 50], umask: 0o77 };
    }),
  );
  const lines = (await bundle.run()).stdout.trim().split("\n");
  assert.deepEqual(lines.slice(0, 5), ["1000", "50", "50 7", "0077", "/home/user"]);
  assert.match(lines[5] ?? "", /0{16}$/);
});

test("cwd: it is made where it is missing, and one that is a file is refused", async () => {
  await using place = await Place.make();
  const made = await place.bundle(
    both(args("pwd"), (spec) => {
      if (spec.process) spec.process.cwd = "/new/folder";
    }),
  );
  assert.equal((await made.run()).stdout, "/new/folder\n");
});

test("seccomp: denied calls get the errno, conditions look at arguments", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(shell("mkdir /tmp/x; chmod 700 /tmp; chmod 755 /tmp && echo ok; grep Seccomp: /proc/self/status"), (spec) => {
      spec.linux = {
        ...spec.linux,
        seccomp: {
          defaultAction: "SCMP_ACT_ALLOW",
          architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
          syscalls: [
            { names: ["mkdir", "mkdirat", "no_such_call"], action: "SCMP_ACT_ERRNO", errnoRet: 28 },
            {
              names: ["chmod"],
              action: "SCMP_ACT_ERRNO",
              errnoRet: 13,
              args: [{ index: 1, value: 0o700, op: "SCMP_CMP_EQ" }],
            },
          ],
        },
      };
    }),
  );
  const result = await bundle.run();
  assert.match(result.stderr, /mkdir: can't create directory '\/tmp\/x': No space left on device\n/);
  assert.match(result.stderr, /chmod: \/tmp: Permission denied/);
  assert.match(result.stdout, /^ok\nSeccomp:\s+2\n$/);
});

test("mounts: a file, a read-only folder, a tmpfs, and their flags", async () => {
  await using place = await Place.make();
  await writeFile(join(place.directory, "file"), "content");
  const bundle = await place.bundle(
    both(
      shell(
        "cat /etc/conf; touch /ro/x || echo refused; stat -c %a /scratch; grep -cE ' /scratch .*nosuid.*size=4k' /proc/mounts",
      ),
      (spec) => {
        spec.mounts?.push(
          {
            destination: "/etc/conf",
            type: "bind",
            source: join(place.directory, "file"),
            options: ["rbind", "rprivate"],
          },
          { destination: "/ro", type: "bind", source: "/etc", options: ["rbind", "ro"] },
          { destination: "/scratch", type: "tmpfs", source: "tmpfs", options: ["nosuid", "size=4k", "mode=700"] },
        );
      },
    ),
  );
  assert.equal((await bundle.run()).stdout, "contentrefused\n700\n1\n");
});

test("a read-only root refuses writes, mounts on it do not", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(shell("touch /x || echo refused; touch /scratch/x && echo ok"), (spec) => {
      if (spec.root) spec.root.readonly = true;
      spec.mounts?.push({ destination: "/scratch", type: "tmpfs", source: "tmpfs", options: [] });
    }),
  );
  assert.equal((await bundle.run()).stdout, "refused\nok\n");
});

test("cgroup v1: limits land in the container's groups, update changes them, events reports them", {
  skip: isUnified && "needs cgroup v1",
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(args("sleep", "1000"), (spec) => {
      spec.linux = {
        ...spec.linux,
        resources: {
          ...spec.linux?.resources,
          memory: { limit: 67108864 },
          pids: { limit: 33 },
          cpu: { shares: 512, quota: 50000, period: 100000 },
        },
      };
    }),
  );
  await bundle.detached("run");
  const read = async (controller: string, file: string) =>
    (await readFile(join("/sys/fs/cgroup", controller, place.cgroup, bundle.id, file), "utf8")).trim();
  assert.equal(await read("memory", "memory.limit_in_bytes"), "67108864");
  assert.equal(await read("pids", "pids.max"), "33");
  assert.equal(await read("cpu", "cpu.shares"), "512");
  assert.equal(await read("cpu", "cpu.cfs_quota_us"), "50000");
  assert.equal((await bundle.call("update", "--pids-limit", "44", "--memory", "128m", bundle.id)).code, 0);
  assert.equal(await read("pids", "pids.max"), "44");
  assert.equal(await read("memory", "memory.limit_in_bytes"), "134217728");
  const update = await place.runtime(["update", "-r", "-", bundle.id], { input: '{"cpu":{"shares":1000}}' });
  assert.equal(update.code, 0, update.stderr);
  assert.equal(await read("cpu", "cpu.shares"), "1000");
  const stats: unknown = JSON.parse((await bundle.call("events", "--stats", bundle.id)).stdout);
  assert.match(JSON.stringify(stats), /"pids":\{"current":1,"limit":44\}/);
});

test("rlimits: what may be set is set", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(shell("ulimit -n; ulimit -c"), (spec) => {
      if (spec.process)
        spec.process.rlimits = [
          { type: "RLIMIT_NOFILE", soft: 100, hard: 200 },
          { type: "RLIMIT_CORE", soft: 0, hard: 0 },
        ];
    }),
  );
  assert.equal((await bundle.run()).stdout, "100\n0\n");
});

test("rlimits: a hard limit beyond our own is kept as high as it can be", {
  skip: !isOurs && "runc and crun fail",
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(shell("ulimit -n"), (spec) => {
      if (spec.process) spec.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 99999999, hard: 99999999 }];
    }),
  );
  const result = await bundle.run();
  assert.equal(result.code, 0, result.stderr);
  assert.ok(Number(result.stdout) >= 1024);
});

test("sysctls land in the container's own namespaces", async () => {
  await using place = await Place.make();
  const before = await readFile("/proc/sys/kernel/msgmax", "utf8");
  const bundle = await place.bundle(
    both(shell("cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_unprivileged_port_start"), (spec) => {
      spec.linux = { ...spec.linux, sysctl: { "kernel.msgmax": "4096", "net.ipv4.ip_unprivileged_port_start": "99" } };
    }),
  );
  assert.equal((await bundle.run()).stdout, "4096\n99\n");
  assert.equal(await readFile("/proc/sys/kernel/msgmax", "utf8"), before);
});

test("hooks run in their order with the state on standard input", async () => {
  await using place = await Place.make();
  const log = join(place.directory, "hooks");
  const bundle = await place.bundle((spec) => {
    const hook = (name: string) => [{ path: "/bin/sh", args: ["sh", "-c", `echo ${name} $(cat) >> ${log}`] }];
    spec.hooks = {
      prestart: hook("prestart"),
      createRuntime: hook("createRuntime"),
      createContainer: hook("createContainer"),
      poststart: hook("poststart"),
      poststop: hook("poststop"),
    };
  });
  const result = await bundle.run();
  assert.equal(result.code, 0, result.stderr);
  const lines = (await readFile(log, "utf8")).trim().split("\n");
  assert.deepEqual(
    lines.map((line) => line.split(" ")[0]),
    ["prestart", "createRuntime", "createContainer", "poststart", "poststop"],
  );
  for (const line of lines) assert.match(line, new RegExp(`"id": ?"${bundle.id}"`));
});

test("a failed hook fails the create and leaves nothing", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle((spec) => {
    spec.hooks = { createRuntime: [{ path: "/bin/false" }] };
  });
  assert.notEqual((await bundle.run()).code, 0);
  assert.deepEqual(await readdir(place.root), []);
  assert.deepEqual(await place.cgroupFolders(bundle.id), []);
});

test("namespaces: an existing one is joined by its path", async () => {
  await using place = await Place.make();
  const first = await place.bundle(args("sleep", "1000"));
  await first.detached("run");
  const { pid } = await first.state();
  const second = await place.bundle(
    both(shell("readlink /proc/self/ns/net; ls -d /proc/[0-9]* | wc -l; hostname"), (spec) => {
      delete spec.hostname;
      for (const namespace of spec.linux?.namespaces ?? [])
        if (namespace.type !== "mount")
          namespace.path = `/proc/${pid}/ns/${namespace.type === "network" ? "net" : namespace.type}`;
    }),
  );
  const result = await second.run();
  const [net, processes, hostname] = result.stdout.trim().split("\n");
  assert.equal(net, await readlink(`/proc/${pid}/ns/net`), result.stderr);
  assert.ok(Number(processes) >= 2);
  assert.equal(hostname, "box");
});

test("a user namespace maps root to another uid of the host", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(shell("id -u; cat /proc/self/uid_map; echo ok > /dev/null && echo written; sleep 1000"), (spec) => {
      spec.linux?.namespaces?.push({ type: "user" });
      spec.linux = {
        ...spec.linux,
        uidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
        gidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
      };
    }),
  );
  const made = await bundle.detached("run");
  assert.equal(made.code, 0, await readFile(join(bundle.directory, "log"), "utf8").catch(() => ""));
  const { pid } = await bundle.state();
  assert.match(await readFile(`/proc/${pid}/status`, "utf8"), /Uid:\s+100000/);
  const exec = await bundle.exec(["id", "-u"]);
  assert.equal(exec.stdout, "0\n", exec.stderr);
});

test("links: a volume's target is resolved inside the root", async () => {
  await using place = await Place.make();
  await writeFile(join(place.directory, "file"), "mounted");
  const bundle = await place.bundle(
    both(shell("cat /real/conf"), (spec) => {
      spec.mounts?.push({
        destination: "/link/conf",
        type: "bind",
        source: join(place.directory, "file"),
        options: ["rbind"],
      });
    }),
  );
  await symlink("/real", join(bundle.rootfs, "link"));
  assert.equal((await bundle.run()).stdout, "mounted");
});

async function ended(pid: number): Promise<void> {
  // The process is nobody's child that we could wait for: its zombie is collected by init, and /proc says when.
  for (;;) {
    const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
    if (status === undefined || /\) [ZX] /.test(status)) return;
  }
}
