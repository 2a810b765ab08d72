import assert from "node:assert/strict";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "#test/command";
import { packageRoot } from "#test/daemon";

const timeoutMs = 280_000;
const hasQemu = (await run(["sh", "-c", "command -v qemu-system-x86_64 mke2fs depmod cpio"])).status === 0;
const cache = process.env.MINIDOCK_VM_CACHE ?? "/var/tmp/minidock-vm";

/** The one program that loads profiles into the kernel; Debian's package is downloaded once, and not installed. */
async function apparmorParser(): Promise<string[]> {
  const parser = join(cache, "apparmor/sbin/apparmor_parser");
  mkdirSync(join(cache, "apparmor"), { recursive: true });
  const download = `cd ${cache}/apparmor && apt-get download -q apparmor && dpkg-deb -x apparmor_*.deb . && rm apparmor_*.deb`;
  if (!existsSync(parser)) await run(["sh", "-c", download]);
  return existsSync(parser) ? [`${parser}:/sbin/apparmor_parser`] : [];
}

test("vm: minirun on nothing but cgroup v2, with AppArmor, and as runc does", {
  skip: !hasQemu && "needs qemu-system-x86, e2fsprogs, kmod and cpio",
}, async (t) => {
  const folder = mkdtempSync("/var/tmp/minidock-vm-work-");
  chmodSync(folder, 0o755); // for users without privileges, too
  try {
    for (const part of ["package.json", "runtime-native/build/minirun", "test/runtime"])
      cpSync(join(packageRoot, part), join(folder, part), { recursive: true });
    const parser = await apparmorParser();
    if (parser.length === 0) t.diagnostic("no AppArmor in the machine: its package cannot be downloaded");
    const programs = [`${process.execPath}:/usr/bin/node`, "/usr/sbin/runc", "/usr/bin/setpriv", ...parser];
    const files = [`${folder}:/work`, ...programs.filter((file) => existsSync(file.split(":")[0] ?? file))];
    const { status, stdout } = await run(
      [join(packageRoot, "test/vm/boot"), join(packageRoot, "test/vm/runtime.sh"), ...files],
      { env: { ...process.env, MINIDOCK_VM_TIMEOUT: String(timeoutMs / 1000) }, timeoutMs },
    );
    const lines = stdout.split("\n");
    for (const line of lines.filter((text) => /^# |^ok .*# SKIP/.test(text))) t.diagnostic(line);
    const first = lines.findIndex((line) => line.startsWith("not ok "));
    assert.equal(first, -1, lines.slice(first).join("\n"));
    assert.ok(lines.filter((line) => line.startsWith("ok minirun ")).length >= 30, stdout.slice(-2000));
    assert.equal(status, 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
