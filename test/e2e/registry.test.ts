import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Daemon, startDaemon } from "#test/daemon";
import { type Registry, startRegistry } from "#test/registry";

let daemon: Daemon;
let open: Registry;
let locked: Registry;
const user = { name: "u", password: "p-secret" };
before(async () => {
  daemon = await startDaemon();
  open = await startRegistry(daemon.network);
  locked = await startRegistry(daemon.network, { user });
});
after(async () => {
  await open[Symbol.asyncDispose]();
  await locked[Symbol.asyncDispose]();
  await daemon[Symbol.asyncDispose]();
});

test("pull: what was pushed comes back under the same digest, and runs", async () => {
  const name = `${open.address}/team/app:1`;
  await daemon.ok("tag", "busybox", name);
  const pushed = await daemon.ok("push", name);
  const digest = /digest: (sha256:[0-9a-f]{64})/.exec(pushed)?.[1];
  await daemon.ok("rmi", name, "busybox");
  const pulled = await daemon.ok("pull", name);
  assert.ok(digest !== undefined && pulled.includes(`Digest: ${digest}`), pulled);
  assert.match(pulled, /Status: Downloaded newer image/);
  assert.equal(await daemon.ok("run", "--rm", name, "echo", "hi"), "hi");
  assert.match(await daemon.ok("pull", name), /Status: Image is up to date/);
  await daemon.ok("pull", `${open.address}/team/app@${digest}`);
  await daemon.ok("tag", name, "busybox");
});

test("run: an image that is not here is fetched", async () => {
  const name = `${open.address}/team/fetched:1`;
  await daemon.ok("tag", "busybox", name);
  await daemon.ok("push", name);
  await daemon.ok("rmi", name);
  const { status, stdout, stderr } = await daemon.docker(["run", "--rm", name, "echo", "there"]);
  assert.deepEqual([status, stdout], [0, "there\n"]);
  assert.match(stderr, /Unable to find image '.*' locally/);
});

test("login: with the wrong password, without, and with the right one", async () => {
  const name = `${locked.address}/secret:1`;
  await daemon.ok("tag", "busybox", name);
  const wrong = await daemon.docker(["login", "-u", user.name, "-p", "wrong", locked.address]);
  assert.equal(wrong.status, 1);
  assert.match(wrong.stderr, /401 Unauthorized/);
  assert.match((await daemon.docker(["push", name])).stderr, /no basic auth credentials/);
  const login = await daemon.docker(["login", "-u", user.name, "--password-stdin", locked.address], {
    stdin: user.password,
  });
  assert.equal(login.status, 0, login.stderr);
  await daemon.ok("push", name);
  await daemon.ok("rmi", name);
  await daemon.ok("pull", name);
  assert.ok(!daemon.log.includes(user.password), "the log shows a password");
});

test("pull: an unknown repository, tag or host is refused in Docker's words", async () => {
  const messages: Readonly<Record<string, RegExp>> = {
    [`${open.address}/nosuch:1`]: /manifest for .*\/nosuch:1 not found: manifest unknown/,
    "127.0.0.1:1/x": /Get "http:\/\/127\.0\.0\.1:1\/v2\/": dial tcp 127\.0\.0\.1:1: connect: connection refused/,
    "Bad/Name": /invalid reference format/,
  };
  for (const [name, words] of Object.entries(messages)) {
    const { status, stderr } = await daemon.docker(["pull", name]);
    assert.equal(status, 1);
    assert.match(stderr, words);
  }
});

test("pull: a registry with a certificate is trusted when it is told to be", async () => {
  await using secure = await startRegistry(daemon.network, { hasTls: true });
  const name = `${secure.address}/x:1`;
  await daemon.ok("tag", "busybox", name);
  // 127.0.0.0/8 counts as insecure: any certificate will do, as with dockerd.
  await daemon.ok("push", name);
  await daemon.ok("rmi", name);
  await daemon.ok("pull", name);
  await daemon.ok("rmi", name);
});

test("save and load: the same image id", async () => {
  const file = join(daemon.folder, "saved.tar");
  const id = await daemon.ok("inspect", "-f", "{{.Id}}", "busybox");
  await daemon.ok("tag", "busybox", "copy:1");
  await daemon.ok("save", "-o", file, "copy:1");
  await daemon.ok("rmi", "copy:1");
  assert.equal(await daemon.ok("load", "-i", file), "Loaded image: copy:1");
  assert.equal(await daemon.ok("inspect", "-f", "{{.Id}}", "copy:1"), id);
  await daemon.ok("rmi", "copy:1");
  assert.ok(existsSync(file));
  rmSync(file);
});

test("images: list, history, tag, remove", async () => {
  await daemon.ok("tag", "busybox", "extra:2");
  assert.match(await daemon.ok("images", "extra"), /extra +2 +[0-9a-f]{12}/);
  assert.match(await daemon.ok("history", "busybox"), /Imported from -/);
  assert.equal(await daemon.ok("rmi", "extra:2"), "Untagged: extra:2");
  assert.match((await daemon.docker(["rmi", "extra:2"])).stderr, /No such image: extra:2/);
});

test("images: one that a container uses stays", async () => {
  await daemon.ok("create", "--name", "user", "busybox");
  const id = (await daemon.ok("inspect", "-f", "{{.Image}}", "user")).slice(7, 19);
  const { status, stderr } = await daemon.docker(["rmi", id]);
  assert.equal(status, 1);
  assert.match(stderr, /conflict: unable to (delete|remove)/);
  await daemon.ok("rm", "user");
});
