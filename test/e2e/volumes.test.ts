import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
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
