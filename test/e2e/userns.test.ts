/* --userns-remap: containers of root are nobody on the host, and see files as their own. What dockerd 28.5.2 does with the same. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, copyFileSync, lstatSync, mkdirSync, mkdtempSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { lineOf, must, stop } from "#test/command";
import { Daemon } from "#test/daemon";
import { isolatedNetwork } from "#test/network-place";

const first = 1_000_000;

/** A daemon in a mount namespace whose /etc knows a user with ranges; the machine's stays as it is. */
async function startRemapped(): Promise<Daemon> {
  const folder = mkdtempSync("/var/tmp/mdt-");
  chmodSync(folder, 0o711);
  mkdirSync(join(folder, "cli"));
  writeFileSync(join(folder, "daemon.json"), JSON.stringify({ "userns-remap": "ranger" }));
  const lines = { passwd: "ranger:x:61000:61000::/:/bin/false", group: "ranger:x:61000:" };
  const ranges = `ranger:${first}:65536`;
  const files = Object.entries({ ...lines, subuid: ranges, subgid: ranges });
  for (const [name, line] of files) {
    writeFileSync(join(folder, name), "");
    if (name in lines) copyFileSync(`/etc/${name}`, join(folder, name));
    writeFileSync(join(folder, name), `${line}\n`, { flag: "a" });
  }
  // subuid and subgid need not be there.
  const etc = `lowerdir=${folder}:/etc`;
  const script = `mount -t overlay -o "${etc}" overlay /etc && echo ready && exec sleep infinity`;
  const holder = spawn("unshare", ["-m", "--propagation", "private", "sh", "-ec", script], { stdio: "pipe" });
  await lineOf(holder, /ready/);
  const network = await isolatedNetwork();
  const place = {
    ...network,
    prefix: ["nsenter", "-t", `${holder.pid}`, "-m", `--net=/run/netns/${network.name}`, "--"],
    [Symbol.asyncDispose]: async () => {
      await stop(holder, "SIGKILL");
      await network[Symbol.asyncDispose]();
    },
  };
  const daemon = new Daemon(folder, place, { hasBusybox: true });
  await daemon.start();
  await daemon.loadBusybox();
  return daemon;
}

const dataRoot = (daemon: Daemon): string => join(daemon.dataRoot, `${first}.${first}`);
const hostOwner = (path: string): string => `${lstatSync(path).uid}:${lstatSync(path).gid}`;

test("userns-remap: root of a container is nobody on the host, and everything in it is its own", async () => {
  await using daemon = await startRemapped();
  const info = await daemon.ok("info", "-f", "{{json .SecurityOptions}} {{.DockerRootDir}}");
  assert.match(info, /"name=userns"/);
  assert.ok(info.endsWith(dataRoot(daemon)), info);
  assert.equal(hostOwner(dataRoot(daemon)), `0:${first}`);

  const source = join(daemon.folder, "made", "below");
  await daemon.ok("volume", "create", "vol");
  const script = "chown 7:8 /bin/busybox; echo x >/v/f; touch /b/f; rm /etc/passwd; mkdir /own; exec sleep 1000";
  await daemon.ok(
    ...["run", "-d", "--name", "one", "--init", "-v", "vol:/v", "-v", `${source}:/b`, "-v", "/etc/hostname:/h:ro"],
    ...["--tmpfs", "/t", "busybox", "sh", "-c", script],
  );
  await daemon.ok("exec", "one", "sh", "-c", "until [ -d /own ]; do sleep 0.01; done");
  const pid = await daemon.ok("inspect", "-f", "{{.State.Pid}}", "one");
  assert.equal(statSync(`/proc/${pid}`).uid, first);
  const volume = await daemon.ok("volume", "inspect", "-f", "{{.Mountpoint}}", "vol");
  for (const path of [volume, join(volume, "f"), source, join(source, "f"), join(source, "..")]) {
    assert.equal(hostOwner(path), `${first}:${first}`, path);
  }
  const seen = await daemon.ok(
    ...["exec", "one", "stat", "-c", "%u:%g", "/", "/own", "/v/f", "/b/f", "/etc/hosts", "/t", "/bin/busybox", "/h"],
  );
  assert.equal(seen, [...Array(6).fill("0:0"), "7:8", "65534:65534"].join("\n"));
  // Its network is its own, too.
  assert.equal(await daemon.ok("exec", "one", "cat", "/sys/class/net/lo/mtu"), "65536");
  await daemon.ok("exec", "one", "ping", "-c", "1", "127.0.0.1");
  await daemon.ok("exec", "-u", "1000", "one", "id");
});

test("userns-remap: cp, commit, diff and export speak of the container's ids, while it runs and after", async () => {
  await using daemon = await startRemapped();
  await daemon.ok("run", "-d", "--name", "one", "-v", "vol:/v", "--tmpfs", "/t", "busybox", "sleep", "1000");
  await daemon.ok("exec", "one", "sh", "-c", "touch /v/f /f; chown 7:8 /v/f /f; rm /etc/passwd");
  const file = join(daemon.folder, "hello");
  writeFileSync(file, "hello");
  const owners = async (path: string) => {
    const { stdout } = await daemon.docker(["exec", "one", "stat", "-c", "%u:%g", path]);
    return stdout.trim();
  };
  const daemonEnvironment = { env: daemon.environment };
  for (const state of ["running", "stopped"]) {
    if (state === "stopped") await daemon.ok("stop", "-t", "0", "one");
    for (const folder of state === "running" ? ["/", "/v", "/t"] : ["/", "/v"]) {
      await daemon.ok("cp", file, `one:${folder}/${state}`);
    }
    for (const path of ["/f", "/v/f"]) {
      const list = await must(["sh", "-ec", `docker cp one:${path} - | tar tv --numeric-owner`], daemonEnvironment);
      assert.match(list, / 7\/8 /, `${state} ${path}`);
    }
  }
  assert.match(await daemon.ok("diff", "one"), /^D \/etc\/passwd$/m);
  await daemon.ok("commit", "one", "kept");
  await daemon.ok("start", "one");
  for (const path of ["/running", "/stopped", "/v/running", "/v/stopped"])
    assert.equal(await owners(path), "0:0", path);
  assert.equal(await daemon.ok("run", "--rm", "kept", "stat", "-c", "%u:%g", "/f", "/running"), "7:8\n0:0");
  // Without a namespace of its own it stands on the same layers, and they are root's.
  const host = [
    "run",
    "--rm",
    "--userns",
    "host",
    "--privileged",
    "--network",
    "host",
    "--pid",
    "host",
    "-v",
    "vol:/v",
  ];
  const shown = await daemon.ok(...host, "kept", "stat", "-c", "%u:%g", "/f", "/bin", "/v/running");
  assert.equal(shown, `7:8\n0:0\n${first}:${first}`);
});

test("userns-remap: what only the host's root may have is refused, and namespaces are shared with their owner", async () => {
  await using daemon = await startRemapped();
  for (const [flags, reason] of [
    [["--privileged"], /privileged mode is incompatible with user namespaces/],
    [["--network", "host"], /cannot share the host's network namespace when user namespaces are enabled/],
    [["--pid", "host"], /cannot share the host PID namespace when user namespaces are enabled/],
  ] as const) {
    const { status, stderr } = await daemon.docker(["run", "--rm", ...flags, "busybox", "true"]);
    assert.equal(status, 125);
    assert.match(stderr, reason);
  }
  await daemon.ok("run", "-d", "--name", "one", "--ipc", "shareable", "busybox", "sleep", "1000");
  for (const kind of ["--network", "--pid", "--ipc"]) {
    assert.match(await daemon.ok("run", "--rm", kind, "container:one", "busybox", "id"), /^uid=0/);
  }
  // A daemon that dies takes it over.
  await daemon.kill();
  await daemon.start();
  assert.match(await daemon.ok("exec", "one", "id"), /^uid=0/);
  await daemon.ok("restart", "-t", "0", "one");
  assert.match(await daemon.ok("exec", "one", "cat", "/proc/self/uid_map"), new RegExp(`0 +${first} +65536`));
});

test("CVE-2021-21284: a container's root that got out could write to nothing of the engine's", async () => {
  await using daemon = await startRemapped();
  await daemon.ok("run", "-d", "--name", "out", "-v", "vol:/v", "busybox", "sleep", "1000");
  const asRemapped = ["setpriv", `--reuid=${first}`, `--regid=${first}`, "--clear-groups"];
  const writable = await must([
    ...asRemapped,
    "find",
    dataRoot(daemon),
    daemon.execRoot,
    "-writable",
    "!",
    "-type",
    "l",
  ]).catch(({ message }: Error) => message.replaceAll(/^find: .*|^.*status 1$/gm, ""));
  const ours = writable.split("\n").filter((path) => path !== "" && !/\/volumes\/vol\/_data/.test(path));
  assert.deepEqual(ours, []);
  await daemon.ok("rm", "-f", "out");
});
