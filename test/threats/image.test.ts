/** THREATS C2 and C1: what an image says about itself, where somebody reads it on the host's side. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { must } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";
import { makeImage, Outside } from "./rig.ts";

let daemon: Daemon;
let outside: Outside;
before(async () => {
  daemon = await startDaemon();
  outside = new Outside(daemon);
});
after(() => daemon[Symbol.asyncDispose]());

const run = (...argv: string[]) => daemon.docker(["run", "--rm", ...argv], { timeoutMs: 20_000 });

const accounts: Readonly<Record<string, (file: string) => unknown>> = {
  "a FIFO": (file) => must(["mkfifo", file]),
  "an endless device": (file) => must(["mknod", file, "c", "1", "5"]),
  "a link to the host": (file) => symlinkSync(join(outside.path, "secret"), file),
  "a link to /proc/self/environ": (file) => symlinkSync("/proc/self/environ", file),
  "a link to itself": (file) => symlinkSync(file.slice(file.lastIndexOf("/") + 1), file),
  "a folder": (file) => mkdirSync(file),
  "a gigabyte": (file) => {
    writeFileSync(file, "");
    truncateSync(file, 2 ** 30);
  },
};
for (const [what, make] of Object.entries(accounts)) {
  test(`CVE-2024-9676: passwd and group that are ${what} hold nobody up, and are nobody's accounts`, async () => {
    await makeImage(daemon, "accounts", async (root) => {
      for (const name of ["passwd", "group"]) {
        rmSync(join(root, "etc", name), { force: true });
        await make(join(root, "etc", name));
      }
    });
    // Not id(1), which reads them itself.
    const ids = ["sed", "-n", "s/^[UG]id:.//p", "/proc/self/status"];
    assert.match((await run("accounts", ...ids)).stdout, /^0\t.*\n0\t/);
    assert.match((await run("-u", "7:8", "accounts", ...ids)).stdout, /^7\t.*\n8\t/);
    for (const user of ["nobody", "bytes-of-the-host"]) {
      assert.match((await run("-u", user, "accounts", "true")).stderr, /unable to find user/);
    }
    await daemon.ok("run", "-d", "--name", "entered", "accounts", "sleep", "1000");
    assert.match((await daemon.docker(["exec", "-u", "7", "entered", ...ids])).stdout, /^7\t/);
    const unknown = await daemon.docker(["exec", "-u", "nobody", "entered", "true"]);
    assert.match(unknown.stdout + unknown.stderr, /unable to find user nobody/);
    await daemon.docker(["cp", "-a", join(daemon.folder, "daemon.json"), "entered:/tmp/"]);
    await daemon.ok("rm", "-f", "entered");
    await daemon.ok("rmi", "accounts");
  });
}

test("CVE-2026-30892, CVE-2024-40635, CVE-2026-46680: no text is read as another user than it names", async () => {
  await makeImage(daemon, "users", (root) => {
    const lines = ["root:x:0:0::/:", "4294967296:x:0:0::/:", "2147483648:x:0:0::/:", "0x0:x:1:1::/:", "1000:x:0:0::/:"];
    writeFileSync(join(root, "etc", "passwd"), `${[...lines, "wide:x:4294967296:0::/:", "bad:x::::"].join("\n")}\n`);
    writeFileSync(join(root, "etc", "group"), "root:x:0:\n4294967296:x:0:\nwide:x:4294967296:\n");
  });
  await daemon.ok("run", "-d", "--name", "users", "users", "sleep", "1000");
  const idOf = async (user: string) => {
    const outcomes = [
      await run("-u", user, "users", "id", "-u"),
      await daemon.docker(["exec", "-u", user, "users", "id", "-u"]),
    ];
    return outcomes.map(({ status, stdout }) => (status === 0 ? stdout.trim() : "refused")).join(" ");
  };
  const expected = {
    "4294967296": "refused refused",
    "2147483648": "refused refused",
    "-1": "refused refused",
    "1:4294967296": "refused refused",
    "1:wide": "refused refused",
    "00": "0 0",
    "0x0": "1 1",
    "1000": "1000 1000",
    wide: "refused refused",
    bad: "refused refused",
    "root\n": "refused refused",
    " root": "refused refused",
    "root:root:wide": "refused refused",
    "../root": "refused refused",
  };
  const found: Record<string, string> = {};
  for (const user of Object.keys(expected)) found[user] = await idOf(user);
  assert.deepEqual(found, expected);
  await daemon.ok("rm", "-f", "users");
});

const etcFiles = ["hosts", "hostname", "resolv.conf"];
const evilEtc: Readonly<Record<string, (root: string) => void>> = {
  "files are links to the host": (root) => {
    for (const name of etcFiles) symlinkSync(join(outside.path, "secret"), join(root, "etc", name));
  },
  "files are links that climb": (root) => {
    for (const name of etcFiles) symlinkSync(`${outside.relativePath}/new`, join(root, "etc", name));
  },
  "files are folders": (root) => {
    for (const name of etcFiles) mkdirSync(join(root, "etc", name));
  },
  "is a link to the host": (root) => symlinkSync(outside.path, join(root, "etc")),
  "is a link to /proc": (root) => symlinkSync("/proc", join(root, "etc")),
  "is a link to /proc/self/root": (root) => symlinkSync("/proc/self/root/proc/sys/kernel", join(root, "etc")),
};
for (const [what, prepare] of Object.entries(evilEtc)) {
  test(`CVE-2024-5154: an image whose /etc ${what} changes and reads nothing of the host, cp and volumes included`, async () => {
    await makeImage(daemon, "etc", (root) => {
      if (what.startsWith("is")) rmSync(join(root, "etc"), { recursive: true });
      prepare(root);
    });
    const network = ["--hostname", "evil-host", "--add-host", "evil:192.0.2.1", "--dns", "192.0.2.2"];
    const { stdout, stderr } = await run(
      ...network,
      "-v",
      "/etc/secret",
      "-w",
      "/etc/work",
      "etc",
      "cat",
      "/etc/secret",
    );
    assert.ok(!(stdout + stderr).includes(Outside.secret));
    await daemon.docker(["create", "--name", "cold", ...network, "-v", "/etc/secret", "etc"]);
    const { text } = await daemon.http.get("/containers/cold/archive?path=/etc");
    assert.ok(!text.includes(Outside.secret));
    assert.ok(outside.isUntouched);
    await daemon.ok("rm", "-fv", "cold");
    await daemon.ok("rmi", "etc");
  });
}

test("CVE-2022-23648, CVE-2020-1726: volumes and folders that an image declares behind links are the image's own", async () => {
  const declared = ["/link", "/climbing/x", "/proc/../link/y", "/chain/deep", "../../../../up"];
  const changes = [`VOLUME ${JSON.stringify(declared)}`, "WORKDIR /link/made/by/workdir"];
  const prepare = (root: string) => {
    symlinkSync(outside.path, join(root, "link"));
    symlinkSync(outside.relativePath, join(root, "climbing"));
    symlinkSync("link", join(root, "chain"));
    mkdirSync(join(root, outside.path, "deep"), { recursive: true });
    for (const name of ["secret", "deep/secret"]) writeFileSync(join(root, outside.path, name), "of the image");
  };
  await makeImage(daemon, "declared", prepare, ...changes);
  const { stdout, stderr } = await run("declared", "sh", "-c", "cat /link/secret /chain/deep/*; ls -a /link /up");
  assert.match(stdout, /^of the imageof the image/, stderr);
  assert.ok(!(stdout + stderr).includes(Outside.secret));
  await daemon.ok("create", "--name", "declared", "declared");
  for (const path of ["/link", "/climbing", "/chain/deep", "/"]) {
    const { text } = await daemon.http.get(`/containers/declared/archive?path=${path}`);
    assert.ok(!text.includes(Outside.secret), path);
  }
  assert.ok(outside.isUntouched);
  await daemon.ok("rm", "-fv", "declared");
});

test("CVE-2022-1227: top runs no program of the container, and a command line cannot steer a terminal", async () => {
  await makeImage(daemon, "ps", (root) => {
    for (const folder of ["bin", "sbin", "usr/bin", "usr/local/bin"]) {
      mkdirSync(join(root, folder), { recursive: true });
      rmSync(join(root, folder, "ps"), { force: true });
      writeFileSync(join(root, folder, "ps"), "#!/bin/sh\ntouch /trace\n");
      chmodSync(join(root, folder, "ps"), 0o755);
    }
  });
  await daemon.ok("run", "-d", "--name", "ps", "ps", "sh", "-c", "sleep 1000; true", "evil\x1b[2J");
  const titles = await daemon.ok("top", "ps", "-eo", "pid,args");
  assert.match(titles, /sleep|evil/);
  assert.ok(!titles.includes("\x1b"));
  assert.equal((await daemon.docker(["exec", "ps", "ls", "/trace"])).status, 1);
  for (const argument of ["--help", "-o pid,args; touch /trace", "-eo pid=$(touch /trace)", "`touch /trace`"]) {
    await daemon.http.get(`/containers/ps/top?ps_args=${encodeURIComponent(argument)}`);
  }
  assert.ok(!existsSync("/trace"));
  await daemon.ok("rm", "-f", "ps");
});

test("CVE-2022-0811: a sysctl is one of the container's own, and its value no second one", async () => {
  const corePattern = () => must(["cat", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/panic"]);
  const before = await corePattern();
  const refused = [
    "kernel.core_pattern=evil",
    "kernel/core_pattern=evil",
    "net.ipv4.ip_forward=1+kernel.core_pattern=evil",
    "net/../kernel/core_pattern=evil",
    "net.ipv4...kernel.core_pattern=evil",
    "net.ipv4/../../kernel/core_pattern=evil",
    "kernel.shm_rmid_forced/../core_pattern=evil",
    "vm.overcommit_memory=1",
  ];
  for (const sysctl of refused) {
    const { status } = await run("--sysctl", sysctl, "busybox", "true");
    assert.equal(status === 0, false, sysctl);
    assert.equal(await corePattern(), before, sysctl);
  }
  const inject = await run("--sysctl", "kernel.shm_rmid_forced=1\nkernel.core_pattern=evil", "busybox", "true");
  assert.equal(await corePattern(), before, inject.stderr);
});

test("CVE-2022-31030: a health check's output is cut, and the daemon does not grow by it", async () => {
  const flood = [
    "--health-interval",
    "100ms",
    "--health-retries",
    "1",
    "--health-cmd",
    "yes | head -c 20000000; false",
  ];
  await daemon.ok("run", "-d", "--name", "flood", ...flood, "busybox", "sleep", "1000");
  const unhealthy = `until docker inspect -f '{{.State.Health.Status}}' flood | grep -q unhealthy; do sleep 0.1; done`;
  await must(["sh", "-c", unhealthy], { env: daemon.environment });
  const output = await daemon.ok("inspect", "-f", "{{range .State.Health.Log}}{{len .Output}} {{end}}", "flood");
  for (const length of output.trim().split(" ")) assert.ok(Number(length) <= 4100, output);
  await daemon.ok("rm", "-f", "flood");
});
