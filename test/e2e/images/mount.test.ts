/** `--mount type=image`: the files of another image in a container. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Daemon, startDaemon } from "#test/daemon";
import { writeImage } from "./made.ts";

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
  const archive = join(daemon.folder, "other.tar");
  const layers = [{ seed: "lower", files: 2, bytesPerFile: 10 }];
  writeImage(archive, { tag: "other:1", layers: [...layers, { seed: "upper", files: 1, bytesPerFile: 10 }] });
  await daemon.ok("load", "-i", archive);
  writeImage(archive, { tag: "single:1", layers });
  await daemon.ok("load", "-i", archive);
});
after(() => daemon[Symbol.asyncDispose]());

const other = "type=image,source=other:1,target=/other";

test("image mount: all layers are seen, and nothing can be written", async () => {
  const list = await daemon.ok("run", "--rm", "--mount", other, "busybox", "sh", "-c", "find /other -type f | sort");
  assert.equal(list, "/other/lower/0\n/other/lower/1\n/other/upper/0");
  const write = await daemon.docker(["run", "--rm", "--mount", other, "busybox", "touch", "/other/x"]);
  assert.match(write.stderr, /Read-only file system/);
});

test("image mount: a single layer, and a folder of it", async () => {
  const words = "type=image,source=single:1,target=/s";
  assert.equal(await daemon.ok("run", "--rm", "--mount", words, "busybox", "ls", "/s/lower"), "0\n1");
  const sub = `${words},image-subpath=lower`;
  assert.equal(await daemon.ok("run", "--rm", "--mount", sub, "busybox", "ls", "/s"), "0\n1");
  const outside = await daemon.docker(["run", "--rm", "--mount", `${words},image-subpath=nosuch`, "busybox", "ls"]);
  assert.equal(outside.status, 127);
  assert.match(outside.stderr, /no such file or directory/);
});

test("image mount: an image that is not here is refused in dockerd's words", async () => {
  const Mounts = [{ Type: "image", Source: "nosuch", Target: "/n" }];
  const reply = await daemon.http.post("/containers/create", { Image: "busybox", HostConfig: { Mounts } });
  assert.deepEqual([reply.status, reply.json()], [404, { message: "No such image: nosuch:latest" }]);
  assert.equal(await daemon.ok("ps", "-aq"), "");
});

test("image mount: it keeps its image; a forced removal leaves the files to the container", async () => {
  await daemon.ok("tag", "single:1", "kept:1");
  await daemon.ok(
    "create",
    "--name",
    "user",
    "--mount",
    "type=image,source=other:1,target=/o",
    "busybox",
    "cat",
    "/o/upper/0",
  );
  const refused = await daemon.docker(["rmi", "other:1"]);
  assert.match(refused.stderr, /conflict: unable to remove repository reference "other:1" \(must force\)/);
  await daemon.ok("rmi", "-f", "other:1");
  await daemon.restart();
  assert.match(await daemon.ok("start", "-a", "user"), /^upper 0/);
  const [mount] = JSON.parse(await daemon.ok("inspect", "-f", "{{json .Mounts}}", "user"));
  assert.deepEqual([mount.Type, mount.Name, mount.RW, mount.Destination], ["image", "other:1", false, "/o"]);
  assert.ok(!existsSync(mount.Source), "it is mounted only while the container runs");
  await daemon.ok("rm", "user");
  await daemon.ok("rmi", "kept:1");
});

test("image mount: it goes on through a restart of the engine", async () => {
  const words = "type=image,source=single:1,target=/s";
  await daemon.ok("run", "-d", "--name", "long", "--mount", words, "busybox", "sleep", "1000");
  await daemon.kill();
  await daemon.start();
  assert.equal(await daemon.ok("exec", "long", "ls", "/s/lower"), "0\n1");
  await daemon.ok("rm", "-f", "long");
});

test("create: without an image the root is empty", async () => {
  const Mounts = [{ Type: "image", Source: "busybox", Target: "/b" }];
  const created = await daemon.http.post("/containers/create?name=bare", {
    Cmd: ["/b/bin/busybox", "echo", "bare"],
    HostConfig: { Mounts },
  });
  assert.equal(created.status, 201, created.text);
  assert.equal(await daemon.ok("start", "-a", "bare"), "bare");
  assert.equal(await daemon.ok("inspect", "-f", "{{json .Image}} {{json .Config.Image}}", "bare"), '"" ""');
  assert.match(await daemon.ok("ps", "-a"), /\s"\/b\/bin\/busybox ech/);
  await daemon.ok("rm", "bare");
  const nothing = await daemon.http.post("/containers/create", { Image: "" });
  assert.deepEqual([nothing.status, nothing.json()], [400, { message: "no command specified" }]);
});
