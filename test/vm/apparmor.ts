import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { run } from "#test/command";

const cache = process.env.MINIDOCK_VM_CACHE ?? "/var/tmp/minidock-vm";

/** The one program that loads profiles into the kernel; Debian's package is downloaded once, and not installed. */
export async function apparmorParser(): Promise<string[]> {
  const parser = join(cache, "apparmor/sbin/apparmor_parser");
  mkdirSync(join(cache, "apparmor"), { recursive: true });
  const download = `cd ${cache}/apparmor && apt-get download -q apparmor && dpkg-deb -x apparmor_*.deb . && rm apparmor_*.deb`;
  if (!existsSync(parser)) await run(["sh", "-c", download]);
  return existsSync(parser) ? [`${parser}:/sbin/apparmor_parser`] : [];
}
