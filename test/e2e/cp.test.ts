import assert from "node:assert/strict";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { must, run } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";

let daemon: Daemon;
let work: string;
before(async () => {
  daemon = await startDaemon();
  await daemon.ok("run", "-d", "--name", "hot", "-v", "vol:/vol", "busybox", "sleep", "1000");
  await daemon.ok("create", "--name", "cold", "-v", "vol:/vol", "-v", "vol:/ro:ro", "busybox");
});
after(() => daemon[Symbol.asyncDispose]());
beforeEach(() => {
  work = mkdtempSync("/var/tmp/tools-cp-");
  mkdirSync(join(work, "d", "sub"), { recursive: true });
  writeFileSync(join(work, "d", "f1"), "one");
  writeFileSync(join(work, "d", "sub", "f2"), "two");
  symlinkSync("f1", join(work, "d", "link"));
  writeFileSync(join(work, "single"), "single");
  chmodSync(join(work, "single"), 0o640);
});

afterEach(() => rmSync(work, { recursive: true, force: true }));

for (const name of ["hot", "cold"]) {
  const kind = name === "hot" ? "running" : "stopped";

  test(`cp: a file goes in and out of a ${kind} container with its mode`, async () => {
    await daemon.ok("cp", join(work, "single"), `${name}:/tmp/in`);
    await daemon.ok("cp", `${name}:/tmp/in`, join(work, "back"));
    assert.equal(readFileSync(join(work, "back"), "utf8"), "single");
    assert.equal(lstatSync(join(work, "back")).mode & 0o777, 0o640);
  });

  test(`cp: a tree goes in and out of a ${kind} container with its links`, async () => {
    await daemon.ok("cp", join(work, "d"), `${name}:/tmp/`);
    await daemon.ok("cp", `${name}:/tmp/d`, join(work, "out"));
    assert.equal(await must(["diff", "-r", "--no-dereference", join(work, "d"), join(work, "out")]), "");
    assert.ok(lstatSync(join(work, "out", "link")).isSymbolicLink());
  });

  test(`cp: the contents of a folder go into a folder of a ${kind} container that is made for them`, async () => {
    await daemon.ok("cp", join(work, "d/."), `${name}:/made`);
    const { stdout } = await run(["sh", "-c", `docker cp ${name}:/made - | tar tf - | sort`], {
      env: daemon.environment,
    });
    assert.equal(stdout, "made/\nmade/f1\nmade/link\nmade/sub/\nmade/sub/f2\n");
  });

  test(`cp: volumes of a ${kind} container are where they are mounted`, async () => {
    await daemon.ok("cp", join(work, "single"), `${name}:/vol/${name}`);
    await daemon.ok("cp", `${name}:/vol/${name}`, join(work, "back"));
    assert.equal(readFileSync(join(work, "back"), "utf8"), "single");
    const source = await daemon.ok("volume", "inspect", "-f", "{{.Mountpoint}}", "vol");
    assert.equal(readFileSync(join(source, name), "utf8"), "single");
  });

  test(`cp: a link in a ${kind} container is a link, or what it leads to when asked`, async () => {
    await daemon.ok("cp", join(work, "d"), `${name}:/tmp/`);
    await daemon.ok("cp", `${name}:/tmp/d/link`, join(work, "l1"));
    await daemon.ok("cp", "-L", `${name}:/tmp/d/link`, join(work, "l2"));
    assert.ok(lstatSync(join(work, "l1")).isSymbolicLink());
    assert.equal(readFileSync(join(work, "l2"), "utf8"), "one");
  });

  const refused: readonly (readonly [what: string, argv: () => string[], words: RegExp])[] = [
    [
      "a file that is not there",
      () => [`${name}:/nosuch`, work],
      new RegExp(`Could not find the file /nosuch in container ${name}`),
    ],
    ["a folder that is not there", () => [join(work, "single"), `${name}:/no/such/`], /no such directory/],
    [
      "a file in the place of a folder",
      () => [join(work, "single"), `${name}:/etc/passwd/x`],
      /extraction point is not a directory/,
    ],
    ["a folder onto a file", () => [join(work, "d"), `${name}:/etc/passwd`], /cannot copy directory/],
  ];
  for (const [what, argv, words] of refused) {
    test(`cp: ${what} in a ${kind} container is refused in Docker's words`, async () => {
      const { status, stderr } = await daemon.docker(["cp", ...argv()]);
      assert.equal(status, 1);
      assert.match(stderr, words);
    });
  }
}

test("cp: a read-only volume or root is refused before anything is written", async () => {
  const volume = await daemon.docker(["cp", join(work, "single"), "cold:/ro/x"]);
  assert.match(volume.stderr, /mounted volume is marked read-only/);
  await daemon.ok("create", "--name", "sealed", "--read-only", "busybox");
  const root = await daemon.docker(["cp", join(work, "single"), "sealed:/x"]);
  assert.match(root.stderr, /container rootfs is marked read-only/);
  await daemon.ok("rm", "sealed");
});

test("cp: links in a container never lead to the host", async () => {
  await daemon.ok("exec", "hot", "ln", "-sf", "../../../../etc/hostname", "/tmp/escape");
  await daemon.ok("exec", "hot", "ln", "-sfn", "/", "/tmp/rootlink");
  await daemon.ok("cp", "-L", "hot:/tmp/escape", join(work, "got"));
  assert.equal(readFileSync(join(work, "got"), "utf8").trim(), await daemon.ok("exec", "hot", "cat", "/etc/hostname"));
  await daemon.ok("cp", join(work, "single"), "hot:/tmp/rootlink/landed");
  assert.equal(await daemon.ok("exec", "hot", "cat", "/landed"), "single");
});

test("archive: the header tells about the file as Go does", async () => {
  const { status, headers } = await daemon.http.send("HEAD", "/containers/hot/archive?path=/etc/passwd");
  assert.equal(status, 200);
  const stat = JSON.parse(Buffer.from(String(headers["x-docker-container-path-stat"]), "base64").toString());
  assert.deepEqual({ ...stat, mtime: "" }, { name: "passwd", size: 26, mode: 420, mtime: "", linkTarget: "" });
});

test("archive: compressed tars are unpacked, and nothing of the container is run for it", async () => {
  const tar = await run(["sh", "-c", "tar czf - d | base64 -w0"], { cwd: work });
  const body = Buffer.from(tar.stdout, "base64");
  const { status } = await daemon.http.send("PUT", "/containers/hot/archive?path=/tmp", { body });
  assert.equal(status, 200);
  assert.equal(await daemon.ok("exec", "hot", "cat", "/tmp/d/sub/f2"), "two");
});

test("export: the whole root, without volumes and what is mounted", async () => {
  await daemon.ok("exec", "hot", "sh", "-c", "echo mine > /mine; echo v > /vol/v");
  const { stdout } = await run(["sh", "-c", "docker export hot | tar tf -"], { env: daemon.environment });
  const names = stdout.split("\n");
  for (const name of ["mine", "bin/busybox", "etc/passwd", "vol/"]) assert.ok(names.includes(name), name);
  assert.ok(!names.some((name) => name.startsWith("proc/1") || name === "vol/v"), stdout);
});

test("diff: what was added, changed and deleted", async () => {
  await daemon.ok(
    "run",
    "--name",
    "changed",
    "busybox",
    "sh",
    "-c",
    "echo x > /new; mkdir /dir; touch /dir/in; rm /bin/vi; echo y >> /etc/passwd",
  );
  const lines = (await daemon.ok("diff", "changed")).split("\n").sort();
  assert.deepEqual(lines, ["A /dir", "A /dir/in", "A /new", "C /bin", "C /etc", "C /etc/passwd", "D /bin/vi"]);
  await daemon.ok("rm", "changed");
});

test("cp: before the first start the mounts of a container are there, and what it reads is as it was written", async () => {
  await daemon.ok(
    "run",
    "--rm",
    "-v",
    "deep:/d",
    "busybox",
    "sh",
    "-c",
    "mkdir -p /d/s/t; echo s > /d/s/f; echo t > /d/s/t/g",
  );
  await daemon.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "ram");
  const mounts = [
    "src=deep,dst=/sub,volume-subpath=s",
    "src=deep,dst=/a/b/s/n,volume-subpath=s/t,ro",
    "src=ram,dst=/ram",
  ];
  const flags = [...mounts, "type=image,src=busybox,dst=/img"].flatMap((mount) => ["--mount", mount]);
  await daemon.ok("create", "--name", "fresh", "-v", "deep:/a/b", ...flags, "busybox");
  const read = async (path: string) =>
    must(["tar", "xO"], { stdin: (await daemon.docker(["cp", `fresh:${path}`, "-"])).stdout });
  assert.deepEqual(
    [
      await read("/a/b/s/f"),
      await read("/sub/f"),
      await read("/a/b/s/n/g"),
      (await read("/img/etc/passwd")).slice(0, 5),
    ],
    ["s", "s", "t", "root:"],
  );
  await daemon.ok("cp", join(work, "single"), "fresh:/sub/new");
  assert.equal(await read("/a/b/s/new"), "single");
  await daemon.ok("cp", join(work, "single"), "fresh:/ram/lost");
  assert.equal((await daemon.docker(["cp", "fresh:/ram/lost", "-"])).status, 1);
  await daemon.ok("rm", "fresh");
  await daemon.ok("volume", "rm", "deep", "ram");
});
