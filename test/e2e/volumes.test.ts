import assert from "node:assert/strict";
import { chownSync, existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { must } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";

/** Volumes and mounts, through the stock CLI. */
let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
});
after(() => daemon[Symbol.asyncDispose]());

const sh = (script: string, ...flags: string[]) => daemon.ok("run", "--rm", ...flags, "busybox", "sh", "-c", script);

test("volume: what one container writes, the next one reads", async () => {
  await sh("echo kept > /v/file", "-v", "kept:/v");
  assert.equal(await sh("cat /v/file", "-v", "kept:/v:ro"), "kept");
  assert.match(await daemon.ok("volume", "ls", "-q"), /^kept$/m);
  await daemon.ok("volume", "rm", "kept");
  assert.equal(existsSync(join(daemon.dataRoot, "volumes/kept")), false);
});

test("volume: a read-only mount cannot be written to", async () => {
  const outcome = await daemon.docker(["run", "--rm", "-v", "ro:/v:ro", "busybox", "touch", "/v/x"]);
  assert.equal(outcome.status, 1);
  assert.match(outcome.stderr, /Read-only file system/);
});

test("volume: it begins with what the image has there", async () => {
  assert.match(await sh("ls /v", "-v", "fresh:/v", "-v", "copied:/bin/../etc"), /^$/);
  assert.match(readFileSync(join(daemon.dataRoot, "volumes/copied/_data/passwd"), "utf8"), /^root:/);
});

test("volume: with driver options it is a mount, gone when the container is", async () => {
  const options = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=5"];
  await daemon.ok("volume", "create", ...options, "ram");
  assert.equal(await sh("grep ' /d ' /proc/mounts | cut -d' ' -f3; stat -c %u /d", "-v", "ram:/d"), "tmpfs\n5");
  await daemon.ok("volume", "rm", "ram");
});

test("volume: a bind by driver options is read-only when they say so", async () => {
  const source = join(daemon.folder, "bound");
  mkdirSync(source);
  await daemon.ok("volume", "create", "-o", "type=none", "-o", `device=${source}`, "-o", "o=bind,ro,nosuid", "bound");
  const options = await sh("grep ' /d ' /proc/mounts | cut -d' ' -f4", "-v", "bound:/d");
  assert.match(options, /^ro,nosuid/);
  await daemon.ok("volume", "rm", "bound");
});

test("volume: one that cannot be mounted fails the start in dockerd's words, and is left unmounted", async () => {
  const path = (name: string) => join(daemon.dataRoot, "volumes", name, "_data");
  const cases: [name: string, options: string[], reason: string][] = [
    ["no-type", ["type=nosuch", "device=x"], `mount x:${path("no-type")}: no such device`],
    ["no-device", ["type=ext4", "device=/nosuch"], `mount /nosuch:${path("no-device")}: no such file or directory`],
    [
      "no-option",
      ["type=tmpfs", "device=tmpfs", "o=noexec,nosuch=1"],
      `mount tmpfs:${path("no-option")}, flags: 0x8, data: nosuch=1: invalid argument`,
    ],
  ];
  for (const [name, options, reason] of cases) {
    await daemon.ok("volume", "create", ...options.flatMap((option) => ["-o", option]), name);
    const outcome = await daemon.docker(["run", "--rm", "-v", `${name}:/d`, "busybox", "true"]);
    const message = `error while mounting volume '${path(name)}': failed to mount local volume: ${reason}`;
    assert.ok(outcome.stderr.includes(message), outcome.stderr);
    await daemon.ok("volume", "rm", name);
  }
});

test("volume: one in use is refused, and named", async () => {
  const id = await daemon.ok("create", "-v", "used:/v", "busybox");
  const outcome = await daemon.docker(["volume", "rm", "used"]);
  assert.equal(outcome.stderr, `Error response from daemon: remove used: volume is in use - [${id}]\n`);
  await daemon.ok("rm", id);
  await daemon.ok("volume", "rm", "used");
});

test("volume: --rm takes the anonymous one along and leaves the named one", async () => {
  const before = await daemon.ok("volume", "ls", "-q");
  await sh("true", "-v", "/anonymous", "-v", "stays:/s");
  assert.equal(await daemon.ok("volume", "ls", "-q"), `${before}\nstays`);
  await daemon.ok("volume", "rm", "stays");
});

test("bind: the source is made for -v, and missing for --mount", async () => {
  const source = join(daemon.folder, "bind/new");
  await sh("echo hello > /b/file", "-v", `${source}:/b`);
  assert.equal(readFileSync(join(source, "file"), "utf8"), "hello\n");
  const missing = join(daemon.folder, "bind/missing");
  const outcome = await daemon.docker(["run", "--rm", "--mount", `type=bind,src=${missing},dst=/b`, "busybox", "true"]);
  assert.equal(outcome.status, 125);
  assert.match(outcome.stderr, /invalid mount config for type "bind": bind source path does not exist: /);
});

test("bind: a source that went after the create is missed by the start, which changes nothing", async () => {
  const source = join(daemon.folder, "gone");
  mkdirSync(source);
  await daemon.ok("create", "--name", "bereft", "--mount", `type=bind,src=${source},dst=/b`, "busybox");
  rmdirSync(source);
  const { status, json } = await daemon.http.post("/containers/bereft/start");
  const message = `invalid mount config for type "bind": bind source path does not exist: ${source}`;
  assert.deepEqual([status, json()], [400, { message }]);
  assert.equal(await daemon.ok("inspect", "-f", "{{.State.ExitCode}} {{.State.Error}}", "bereft"), "0 ");
  await daemon.ok("rm", "bereft");
});

test("bind: what is mounted below a read-only source stays writable for clients before 1.44", async () => {
  const source = join(daemon.folder, "outer");
  mkdirSync(join(source, "inner"), { recursive: true });
  await must(["mount", "-t", "tmpfs", "tmpfs", join(source, "inner")]);
  try {
    for (const [version, expected] of [
      ["1.43", "ro\nrw\n"],
      ["1.44", "ro\nro\n"],
    ]) {
      const Cmd = ["sh", "-c", "grep ' /b' /proc/mounts | cut -d' ' -f4 | cut -d, -f1"];
      const body = { Image: "busybox", Cmd, HostConfig: { Binds: [`${source}:/b:ro`] } };
      await daemon.http.post(`/v${version}/containers/create?name=clients`, body);
      assert.equal((await daemon.docker(["start", "-a", "clients"])).stdout, expected, version);
      await daemon.ok("rm", "clients");
    }
  } finally {
    await must(["umount", join(source, "inner")]);
  }
});

test("bind: with idmap the files of one user are another's inside, also for a borrower", async () => {
  const source = join(daemon.folder, "mapped");
  mkdirSync(source);
  writeFileSync(join(source, "others"), "");
  chownSync(source, 1000, 1001);
  const bind = `${source}:/m:idmap=uids=1000-0-1;gids=1001-0-1`;
  await daemon.ok("create", "--name", "mapper", "-v", bind, "busybox");
  for (const flags of [
    ["-v", bind],
    ["--volumes-from", "mapper"],
  ]) {
    assert.equal(await sh("stat -c '%u %g' /m /m/others; touch /m/new", ...flags), "0 0\n65534 65534");
    const { uid, gid } = statSync(join(source, "new"));
    assert.deepEqual([uid, gid], [1000, 1001]);
    rmSync(join(source, "new"));
  }
  await daemon.ok("rm", "mapper");
  const ranges = ["0-0-0", "0-4294967296-1", "0-0", "@0-0-1"];
  const modes = ["idmap", "idmap=uids=0-0-1", ...ranges.map((range) => `idmap=uids=${range};gids=0-0-1`)];
  for (const mode of modes) {
    const outcome = await daemon.docker(["create", "-v", `${source}:/m:${mode}`, "busybox"]);
    assert.equal(outcome.stderr, `Error response from daemon: invalid mode: ${mode}\n`);
  }
});

test("bind: a file is mounted over a file", async () => {
  mkdirSync(join(daemon.folder, "files"), { recursive: true });
  const file = join(daemon.folder, "files/passwd");
  writeFileSync(file, "mine");
  assert.equal(await sh("cat /etc/passwd", "-v", `${file}:/etc/passwd:ro`), "mine");
});

test("mounts: tmpfs, subpath, and a read-only root", async () => {
  await sh("mkdir /v/sub && echo below > /v/sub/file", "-v", "tree:/v");
  const subpath = "type=volume,src=tree,dst=/s,volume-subpath=sub";
  assert.equal(await sh("cat /s/file", "--mount", subpath), "below");
  const script = "touch /x 2>/dev/null || echo no; touch /t/x && echo yes; stat -f -c %T /t";
  assert.equal(await sh(script, "--read-only", "--tmpfs", "/t:size=1m"), "no\nyes\ntmpfs");
  await daemon.ok("volume", "rm", "tree");
});

test("mounts: --tmpfs comes instead of a mount of the same place", async () => {
  const flags = ["--tmpfs", "/m:size=1m", "--mount", "type=volume,src=hidden,dst=/m"];
  assert.equal(await sh("grep ' /m ' /proc/mounts | cut -d' ' -f3", ...flags), "tmpfs");
  await daemon.ok("volume", "rm", "hidden");
});

test("mounts: --volumes-from borrows them all", async () => {
  await daemon.ok("run", "--name", "donor", "-v", "lent:/lent", "busybox", "sh", "-c", "echo mine > /lent/file");
  assert.equal(await sh("cat /lent/file; touch /lent/x || true", "--volumes-from", "donor:ro"), "mine");
  await daemon.ok("rm", "-v", "donor");
  await daemon.ok("volume", "rm", "lent");
});

test("init: it is the container's first process", async () => {
  const script = 'tr "\\0" " " < /proc/1/cmdline';
  assert.match(await sh(script, "--init"), /^\/sbin\/docker-init -- sh -c /);
});

test("ipc: a shareable container lends its /dev/shm", async () => {
  await daemon.ok(
    "run",
    "-d",
    "--name",
    "lender",
    "--ipc",
    "shareable",
    "busybox",
    "sh",
    "-c",
    "echo s > /dev/shm/f; sleep 1000",
  );
  assert.equal(await sh("until [ -s /dev/shm/f ]; do :; done; cat /dev/shm/f", "--ipc", "container:lender"), "s");
  await daemon.ok("rm", "-f", "lender");
});

test("volumes: a folder of a volume begins with what the image has at its place; the rest of the volume stays", async () => {
  await daemon.ok("volume", "create", "folders");
  await daemon.ok("run", "--rm", "-v", "folders:/v", "busybox", "mkdir", "/v/empty");
  const mount = "type=volume,source=folders,target=/bin,volume-subpath=empty";
  assert.equal(await daemon.ok("run", "--rm", "--mount", mount, "busybox", "ls", "/bin/busybox"), "/bin/busybox");
  assert.equal(await daemon.ok("run", "--rm", "-v", "folders:/v", "busybox", "ls", "/v"), "empty");
});

test("rename: a bad name is quoted as moby has it, with its slash", async () => {
  await daemon.ok("create", "--name", "good-name", "busybox");
  const { json } = await daemon.http.post("/containers/good-name/rename?name=@");
  const reason = "Invalid container name (/@), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed";
  assert.deepEqual(json(), { message: `Error when allocating new name: ${reason}` });
});
