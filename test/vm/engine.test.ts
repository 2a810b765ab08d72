import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { busyboxTar } from "#test/busybox";
import { must, run } from "#test/command";
import { packageRoot } from "#test/daemon";
import { apparmorParser } from "./apparmor.ts";

const timeoutMs = 280_000;
const hasQemu = (await run(["sh", "-c", "command -v qemu-system-x86_64 mke2fs depmod cpio"])).status === 0;

/** A copy at /work of what an installed package has. */
async function packageFolder(): Promise<string> {
  const folder = mkdtempSync("/var/tmp/minidock-vm-work-");
  for (const part of ["bin", "dist", "package.json", "runtime-native/build"]) {
    const isBuild = part.endsWith("build");
    const filter = (source: string) => !isBuild || !/\/(obj|debug)$/.test(source);
    cpSync(join(packageRoot, part), join(folder, part), { recursive: true, filter });
  }
  for (const module of ["node", "koffi", "@koromix", "better-sqlite3"]) {
    cpSync(join(packageRoot, "node_modules", module), join(folder, "node_modules", module), { recursive: true });
  }
  cpSync(await busyboxTar(), join(folder, "busybox.tar"));
  return folder;
}

test("vm: the engine on Debian's kernel with nothing but cgroup v2", {
  skip: !hasQemu && "needs qemu-system-x86, e2fsprogs, kmod and cpio",
}, async () => {
  const folder = await packageFolder();
  try {
    const docker = (await must(["sh", "-c", "command -v docker"])).trim();
    const script = join(packageRoot, "test/vm/engine.sh");
    const files = [`${folder}:/work`, docker, ...(await apparmorParser())];
    const { stdout } = await run([join(packageRoot, "test/vm/boot"), script, ...files], {
      env: { ...process.env, MINIDOCK_VM_MEMORY: "3000", MINIDOCK_VM_TIMEOUT: String(timeoutMs / 1000) },
      timeoutMs,
    });
    const lines = stdout.split("\n");
    const failed = lines.filter((line) => /^not ok| level=(error|fatal) /.test(line));
    assert.deepEqual(failed, []);
    const planned = /^1\.\.(\d+)$/m.exec(stdout)?.[1];
    assert.equal(
      lines.filter((line) => line.startsWith("ok ")).length,
      Number(planned ?? Number.NaN),
      stdout.slice(-2000),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
