import assert from "node:assert/strict";
import { chmodSync, cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "#test/command";
import { packageRoot } from "#test/daemon";
import { apparmorParser } from "./apparmor.ts";

/** For a machine that has much else to do; alone it takes a quarter of that. */
const timeoutMs = 280_000;
const vmTimeoutMs = 260_000;
const hasQemu = (await run(["sh", "-c", "command -v qemu-system-x86_64 mke2fs depmod cpio"])).status === 0;

const tests = ["test/runtime", "test/helpers"];
/** What busybox lacks or does otherwise. */
const programs =
  "/usr/sbin/runc /usr/bin/env /usr/bin/timeout /usr/bin/setpriv /usr/bin/script /usr/bin/unshare /usr/bin/newuidmap /usr/bin/newgidmap /usr/sbin/useradd /usr/sbin/groupadd /usr/sbin/usermod /usr/sbin/userdel /etc/login.defs /etc/pam.d".split(
    " ",
  );

test("vm: minirun on nothing but cgroup v2, with AppArmor, and as runc does", {
  skip: !hasQemu && "needs qemu-system-x86, e2fsprogs, kmod and cpio",
}, async (t) => {
  const folder = mkdtempSync("/var/tmp/minidock-vm-work-");
  chmodSync(folder, 0o755); // for users without privileges, too
  try {
    for (const part of ["package.json", "runtime-native/build/minirun", "runtime-native/build/helpers", ...tests])
      cpSync(join(packageRoot, part), join(folder, part), { recursive: true });
    const parser = await apparmorParser();
    if (parser.length === 0) t.diagnostic("no AppArmor in the machine: its package cannot be downloaded");
    const all = [`${process.execPath}:/usr/bin/node`, ...programs, ...parser];
    const files = [`${folder}:/work`, ...all.filter((file) => existsSync(file.split(":")[0] ?? file))];
    const { status, stdout, stderr } = await run(
      [join(packageRoot, "test/vm/boot"), join(packageRoot, "test/vm/runtime.sh"), ...files],
      { env: { ...process.env, MINIDOCK_VM_TIMEOUT: String(vmTimeoutMs / 1000) }, timeoutMs },
    );
    const lines = stdout.split("\n");
    for (const line of lines.filter((text) => /^# |^ok .*# SKIP/.test(text))) t.diagnostic(line);
    const first = lines.findIndex((line) => line.startsWith("not ok "));
    assert.equal(first, -1, lines.slice(first).join("\n"));
    const passed = lines.filter((line) => line.startsWith("ok minirun ")).length;
    const limit = `124: not done in ${vmTimeoutMs / 1000} s`;
    const told = `status ${status} (${limit}) after ${passed} cases; the last words:\n${stdout.slice(-2000)}${stderr}`;
    assert.equal(status, 0, told);
    assert.ok(passed >= 90, told);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
