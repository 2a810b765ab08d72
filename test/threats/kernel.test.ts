/** THREATS C4: the kernel as a default container sees it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { must } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";
import { makeImage } from "./rig.ts";

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
  await makeImage(daemon, "attacker");
});
after(() => daemon[Symbol.asyncDispose]());

/** What dockerd 28.5.2 answers in the same place, but for AF_ALG, which it lets through. */
const refused = `socket(AF_ALG) socket(AF_VSOCK) add_key keyctl request_key userfaultfd io_uring_setup bpf
  perf_event_open open_by_handle_at unshare(CLONE_NEWUSER) mount kexec_load init_module swapon`.split(/\s+/);
const foreign = `i386_socket(AF_ALG) i386_socket(AF_VSOCK) i386_add_key i386_unshare(CLONE_NEWUSER) i386_bpf
  i386_perf_event_open i386_open_by_handle_at i386_userfaultfd i386_io_uring_setup x32_socket(AF_ALG) x32_add_key
  x32_bpf`.split(/\s+/);

async function answers(...flags: readonly string[]): Promise<Map<string, string>> {
  const lines = (await daemon.ok("run", "--rm", ...flags, "attacker", "syscalls")).split("\n");
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), line.slice(line.lastIndexOf(" ") + 1)]));
}

test("CVE-2026-31431, Shocker: calls that reach what is not the container's fail in Docker's way, in every calling convention", async () => {
  const found = await answers();
  const wanted = [...refused, ...(process.arch === "x64" ? foreign.map((name) => name.replace("_", " ")) : [])];
  for (const name of wanted) assert.equal(found.get(name), "EPERM", name);
  assert.equal(found.get("clone3"), "ENOSYS");
  // Programs of 32 bits go on working: their sockets come by a call whose arguments no filter sees.
  for (const name of ["socket(AF_INET)", "i386 socket(AF_INET)", "i386 socketcall(AF_INET)"]) {
    if (found.has(name)) assert.equal(found.get(name), "allowed", name);
  }
  const more = await answers("--cap-add", "DAC_READ_SEARCH", "--security-opt", "no-new-privileges");
  assert.notEqual(more.get("open_by_handle_at"), "EPERM");
  assert.equal(more.get("bpf"), "EPERM");
  assert.notEqual((await answers("--security-opt", "seccomp=unconfined")).get("io_uring_setup"), "EPERM");
});

test("RUN-004: a fork bomb stays in its limit, and the engine answers and ends it", async () => {
  const bomb = "bomb() { bomb | bomb & }; bomb; sleep 1000";
  await daemon.ok("run", "-d", "--name", "bomb", "--pids-limit", "200", "busybox", "sh", "-c", bomb);
  const tasks = async () => Number((await daemon.ok("stats", "--no-stream", "--format", "{{.PIDs}}", "bomb")) || 0);
  for (let round = 0; round < 3; round++) {
    assert.ok((await tasks()) <= 200);
    assert.equal(await daemon.ok("run", "--rm", "busybox", "echo", "alive"), "alive");
  }
  await daemon.docker(["exec", "bomb", "true"]);
  await daemon.docker(["top", "bomb"]);
  await daemon.ok("kill", "bomb");
  await daemon.ok("rm", "-f", "bomb");
});

test("RUN-004: when memory runs out, the container goes before its shim and the engine", async () => {
  await daemon.ok("run", "-d", "--name", "sacrifice", "--oom-score-adj", "500", "busybox", "sleep", "1000");
  const score = (pid: string | number) => Number(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"));
  const pid = await daemon.ok("inspect", "-f", "{{.State.Pid}}", "sacrifice");
  const shim = /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";
  assert.equal(score(pid), 500);
  assert.ok(score(shim) <= score(process.pid) && score(daemon.pid) <= score(process.pid));
  await daemon.ok("rm", "-f", "sacrifice");
});

test("CVE-2020-15257: a container on the host's network finds no socket of ours to talk to", async () => {
  await daemon.ok("run", "-d", "--name", "near", "--net", "host", "busybox", "sleep", "1000");
  const abstract = await daemon
    .ok("exec", "near", "grep", "-c", "@.*\\(mini\\|shim\\|docker\\|exec\\)", "/proc/net/unix")
    .catch(() => "0");
  assert.equal(abstract, "0");
  await daemon.ok("rm", "-f", "near");
});

test("CVE-2024-21626: no descriptor and no working folder of the host is in a container, an exec or a health check", async () => {
  const look = "ls -l /proc/self/fd | sed -n 's/.* -> //p' | grep -v '^/proc/\\|^pipe:\\|^/dev/null$\\|^socket:'; true";
  const health = ["--health-cmd", `{ ${look}; } > /found`, "--health-interval", "200ms"];
  await daemon.ok("run", "-d", "--name", "fds", ...health, "busybox", "sh", "-c", `{ ${look}; } > /first; sleep 1000`);
  assert.equal(await daemon.ok("exec", "fds", "sh", "-c", look), "");
  await must(["sh", "-c", "until docker exec fds ls /found; do sleep 0.1; done"], { env: daemon.environment });
  assert.equal(await daemon.ok("exec", "fds", "cat", "/first", "/found"), "");
  for (let fd = 3; fd < 12; fd++) {
    for (const folder of [`/proc/self/fd/${fd}`, `/proc/self/fd/${fd}/../../..`, `/proc/thread-self/fd/${fd}`]) {
      const inside = await daemon.docker(["exec", "-w", folder, "fds", "ls", "-d", `${daemon.folder}`]);
      assert.notEqual(inside.status, 0, folder);
    }
  }
  await daemon.ok("rm", "-f", "fds");
});
