/** THREATS C2: what a container does to whoever copies files into it and out of it. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { must, run } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";
import { makeImage, Outside, rounds } from "./rig.ts";

let daemon: Daemon;
let outside: Outside;
/** Programs of the host that no daemon should ever start, in front of all others. */
let evilPath: string;
/** They leave this behind. */
let trace: string;

before(async () => {
  const shadow = "/var/tmp/minidock-test-evil-path";
  evilPath = `${shadow}-${process.pid}`;
  trace = join(evilPath, "trace");
  mkdirSync(evilPath);
  decompressors(evilPath);
  daemon = await startDaemon({ env: { PATH: `${evilPath}:${process.env.PATH}` } });
  outside = new Outside(daemon);
  await makeImage(daemon, "attacker", (root) => {
    mkdirSync(join(root, "usr/bin"), { recursive: true });
    for (const folder of ["bin", "usr/bin"]) decompressors(join(root, folder));
  });
});
after(async () => {
  await daemon[Symbol.asyncDispose]();
  rmSync(evilPath, { recursive: true });
});

/** In place of each program that unpacks something, one that leaves a trace where it ran. */
function decompressors(folder: string): void {
  for (const name of [
    "gzip",
    "gunzip",
    "unpigz",
    "pigz",
    "igzip",
    "xz",
    "unxz",
    "zstd",
    "unzstd",
    "bzip2",
    "bunzip2",
    "tar",
  ]) {
    rmSync(join(folder, name), { force: true });
    writeFileSync(join(folder, name), `#!/bin/sh\necho ran >> ${trace}\ncat\n`);
    chmodSync(join(folder, name), 0o755);
  }
}

const secretTar = () => must(["tar", "-cf", "-", "-C", outside.path, "secret"]);

/** Copies out of and into `path`, which is a folder in one moment and a link to the host in the next. */
async function copyInAndOut(container: string, path: string): Promise<void> {
  const tar = await must(["tar", "-cf", "-", "-C", "/etc", "hostname"]);
  const archive = `/containers/${container}/archive?path=`;
  let inTime = 0;
  for (let round = 0; round < rounds; round++) {
    // One that has begun may be cut off: what it packs is no longer there.
    const replies = await Promise.allSettled([
      daemon.http.get(`${archive}${path}/`),
      daemon.http.get(`${archive}${path}/secret`),
      daemon.http.send("HEAD", `${archive}${path}/secret`),
      daemon.http.send("PUT", `${archive}${path}`, { body: tar }),
      daemon.http.send("PUT", `${archive}${path}/..&noOverwriteDirNonDir=1`, { body: tar }),
    ]);
    for (const reply of replies) {
      const isHosts = reply.status === "fulfilled" && reply.value.text.includes(Outside.secret);
      assert.ok(!isHosts, `round ${round}: read from the host`);
    }
    assert.ok(outside.isUntouched, `round ${round}: the host's folder has changed`);
    if (replies[1].status === "fulfilled" && replies[1].value.status === 200) inTime++;
  }
  assert.ok(inTime > 0, "not one copy came in time");
}

/** A folder and a link to the host's, which change places until the container ends. */
const swapping = (folder: string) => [
  "sh",
  "-c",
  `mkdir -p ${folder}/one && echo mine > ${folder}/one/secret && ln -s ${outside.path} ${folder}/two &&
   exec exchange ${folder}/one ${folder}/two`,
];

test("CVE-2018-15664: cp from and to a container that swaps a folder for a link to the host", async () => {
  await daemon.ok("run", "-d", "--name", "swap", "attacker", ...swapping("/w"));
  await copyInAndOut("swap", "/w/one");
  await daemon.ok("rm", "-f", "swap");
});

test("CVE-2018-15664, CVE-2026-41568, CVE-2026-42306: a stopped container whose volume, and a mount point in it, another one swaps", async () => {
  await daemon.ok("run", "-d", "--name", "swap", "-v", "shared:/w", "attacker", ...swapping("/w"));
  const inner = ["-v", "inner:/w/one/deep/er", "--mount", `type=bind,src=/etc/hostname,dst=/w/one/file`];
  await daemon.ok("create", "--name", "cold", "-v", "shared:/w", ...inner, "attacker");
  await copyInAndOut("cold", "/w/one");
  await daemon.ok("rm", "-f", "swap", "cold");
});

test("CVE-2023-0778: export, commit and diff of a container that swaps a folder for a link to the host", async () => {
  await daemon.ok("run", "-d", "--name", "swap", "attacker", ...swapping("/w"));
  for (let round = 0; round < rounds / 10; round++) {
    assert.ok(!(await daemon.http.get("/containers/swap/export")).text.includes(Outside.secret));
    const changes = await daemon.http.get("/containers/swap/changes");
    assert.equal(changes.status, 200);
    assert.doesNotMatch(changes.text, /outside/);
  }
  const image = await daemon.ok("commit", "swap");
  assert.ok(!(await daemon.docker(["save", image])).stdout.includes(Outside.secret));
  await daemon.ok("rm", "-f", "swap");
  await daemon.ok("rmi", image);
});

test("CVE-2019-10152: links and dots in a path, and links of procfs, lead to the container's own files", async () => {
  await daemon.ok("run", "-d", "--name", "links", "attacker", "sleep", "1000");
  await daemon.ok("exec", "links", "ln", "-s", outside.path, "/link");
  await daemon.ok("exec", "links", "ln", "-s", outside.relativePath, "/climbing");
  const ways = [
    "/link",
    "/climbing",
    outside.relativePath,
    `/proc/1/root${outside.path}`,
    `/proc/self/root${outside.path}`,
  ];
  const procfs = ["/proc/self/cwd", "/proc/1/cwd", "/proc/thread-self/root", "/dev/fd/3", "/proc/1/task/1/root"];
  for (const way of [...ways, ...procfs.map((path) => path + outside.path)]) {
    const { text, status } = await daemon.http.get(`/containers/links/archive?path=${way}/secret`);
    assert.ok(status >= 400 && !text.includes(Outside.secret), `${way}: ${status}`);
    await daemon.http.send("PUT", `/containers/links/archive?path=${way}`, { body: await secretTar() });
    assert.ok(outside.isUntouched, way);
  }
  await daemon.ok("rm", "-f", "links");
});

test("CVE-2021-41089: no entry of a tar changes a file of the host, whatever links and modes it brings", async () => {
  const work = join(daemon.folder, "tar");
  mkdirSync(join(work, "second", "link"), { recursive: true });
  mkdirSync(join(work, "first"));
  symlinkSync(outside.path, join(work, "first", "link"));
  symlinkSync(join(outside.path, "secret"), join(work, "first", "file"));
  writeFileSync(join(work, "second", "link", "secret"), "planted");
  writeFileSync(join(work, "second", "file"), "planted");
  chmodSync(join(work, "second", "link"), 0o777);
  await must(["tar", "-cf", join(work, "1"), "-C", join(work, "first"), "link", "file"]);
  await must(["tar", "-rf", join(work, "1"), "-C", join(work, "second"), "--owner=7", "link", "file"]);
  await daemon.ok("run", "-d", "--name", "hot", "attacker", "sleep", "1000");
  await daemon.ok("create", "--name", "cold", "attacker");
  for (const name of ["hot", "cold"]) {
    await run(["sh", "-c", `docker cp - ${name}:/tmp < ${join(work, "1")}`], { env: daemon.environment });
    assert.ok(outside.isUntouched, name);
  }
  await daemon.ok("rm", "-f", "hot", "cold");
});

test("CVE-2026-41567: compressed archives are unpacked by no program, of the container or of PATH", async () => {
  const file = join(daemon.folder, "payload");
  writeFileSync(file, "payload");
  await daemon.ok("run", "-d", "--name", "hot", "attacker", "sleep", "1000");
  await daemon.ok("create", "--name", "cold", "attacker");
  for (const name of ["hot", "cold"]) {
    for (const program of ["gzip", "xz", "zstd", "bzip2"]) {
      const packed = join(daemon.folder, `payload.${program}`);
      await must([
        "sh",
        "-c",
        `tar -cf - -C ${daemon.folder} --transform s/payload/${program}/ payload | ${program} > ${packed}`,
      ]);
      const put = `curl -sf -T ${packed} --unix-socket ${daemon.socket} http://d/containers/${name}/archive?path=/tmp`;
      await must(["sh", "-c", put]);
      const { text } = await daemon.http.get(`/containers/${name}/archive?path=/tmp/${program}`);
      assert.ok(text.includes("payload"), `${program} in ${name}`);
      assert.equal((await daemon.docker(["cp", `${name}:${trace}`, "-"])).status, 1, `${program} ran in ${name}`);
    }
  }
  assert.ok(!existsSync(trace), "a program of PATH was run");
  await daemon.ok("rm", "-f", "hot", "cold");
});

test("CVE-2019-14271: no library of a container is loaded by whoever enters it", async () => {
  const source = `#include <fcntl.h>\n__attribute__((constructor)) static void run(void) { open("/trace", O_CREAT, 0600); }`;
  const library = join(daemon.folder, "evil.so");
  await must(["gcc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"], { stdin: source });
  await makeImage(daemon, "libraries", async (root) => {
    for (const folder of ["lib", "lib64", "usr/lib", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"]) {
      mkdirSync(join(root, folder), { recursive: true });
      for (const name of ["nss_files", "nss_dns", "c", "dl", "resolv"]) {
        await must(["cp", library, join(root, folder, `lib${name}.so.${name === "c" ? 6 : 2}`)]);
      }
    }
    writeFileSync(join(root, "etc", "nsswitch.conf"), "passwd: files dns\nhosts: files dns\n");
    writeFileSync(join(root, "etc", "ld.so.preload"), "/lib/libc.so.6\n");
  });
  await daemon.ok("run", "-d", "--name", "entered", "libraries", "sleep", "1000");
  await daemon.ok("exec", "-u", "root", "-t", "entered", "true");
  await daemon.ok("top", "entered");
  await daemon.ok("cp", "entered:/etc/passwd", join(daemon.folder, "passwd"));
  await daemon.ok("cp", "-a", join(daemon.folder, "passwd"), "entered:/tmp/");
  assert.equal((await daemon.docker(["exec", "entered", "ls", "/trace"])).status, 1);
  assert.ok(!existsSync("/trace"));
  await daemon.ok("rm", "-f", "entered");
});

test("moby#52948: an archive names what is below the asked folder and nothing beside it", async () => {
  await daemon.ok(
    "run",
    "-d",
    "--name",
    "prefix",
    "attacker",
    "sh",
    "-c",
    "mkdir -p /w/dir /w/dir2 /w/dir/dir; sleep 1000",
  );
  await daemon.ok("exec", "prefix", "sh", "-c", "echo > /w/dir/in; echo > /w/dir2/beside; ln -s ../dir2 /w/dir/out");
  const { stdout } = await run(["sh", "-c", "docker cp prefix:/w/dir - | tar -t"], { env: daemon.environment });
  assert.equal(stdout, "dir/\ndir/dir/\ndir/in\ndir/out\n");
  await daemon.ok("rm", "-f", "prefix");
});

test("depth: a container that nests its folders beyond every limit can be copied, committed and removed", async () => {
  await daemon.ok("run", "-d", "--name", "deep", "-w", "/tmp", "attacker", "sh", "-c", "nest 8000; sleep 1000");
  await must(["sh", "-c", "until docker logs deep | grep -q nested; do sleep 0.1; done"], { env: daemon.environment });
  for (const [what, status] of Object.entries({ "archive?path=/tmp": 200, export: 200, changes: 500 })) {
    const reply = await daemon.http.get(`/containers/deep/${what}`);
    assert.equal(reply.status, status, what);
  }
  assert.match(await daemon.ok("ps", "-s", "--format", "{{.Size}}", "-f", "name=deep"), /^-1B/);
  await daemon.ok("rmi", await daemon.ok("commit", "deep"));
  await daemon.ok("rm", "-f", "deep");
  // Its removal goes on in the background, and the daemon's end waits for it.
  await daemon.restart();
  assert.deepEqual(readdirSync(join(daemon.dataRoot, "tmp")), []);
});
