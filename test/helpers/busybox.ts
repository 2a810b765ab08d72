import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { must } from "./command.ts";

const cache = "/var/tmp/minidock-test-cache";

/** A root of Debian's busybox-static with every applet as a link in /bin, a passwd and /tmp, as a tar; made once. */
export async function busyboxTar(): Promise<string> {
  const tar = join(cache, "busybox.tar");
  if (existsSync(tar)) return tar;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "busybox-"));
  const root = join(work, "root");
  for (const folder of ["bin", "etc", "tmp"]) mkdirSync(join(root, folder), { recursive: true });
  copyFileSync("/bin/busybox", join(root, "bin", "busybox"));
  for (const applet of (await must(["/bin/busybox", "--list"])).split("\n")) {
    if (applet !== "busybox") symlinkSync("busybox", join(root, "bin", applet));
  }
  writeFileSync(join(root, "etc", "passwd"), "root:x:0:0:root:/:/bin/sh\n");
  await must(["tar", "--owner=0", "--group=0", "--numeric-owner", "-cf", join(work, "tar"), "-C", root, "."]);
  // Two tests may make it at once: the last one wins, and both are whole.
  renameSync(join(work, "tar"), tar);
  rmSync(work, { recursive: true });
  return tar;
}

/** A Debian root made by debootstrap, as a tar. Takes a minute the first time. */
export async function debianTar(suite = "bookworm"): Promise<string> {
  const tar = join(cache, `debian-${suite}.tar`);
  if (existsSync(tar)) return tar;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "debian-"));
  const mirror = (
    await must(["sh", "-c", "sed -n 's/^URIs: //p' /etc/apt/sources.list.d/debian.sources | head -1"])
  ).trim();
  const root = join(work, "root");
  const argv = ["debootstrap", "--variant=minbase", "--no-check-gpg", "--include=ca-certificates", suite, root];
  await must(mirror === "" ? argv : [...argv, mirror], { timeoutMs: 600_000 });
  await must(["tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-cf", join(work, "tar"), "-C", root, "."]);
  renameSync(join(work, "tar"), tar);
  rmSync(work, { recursive: true });
  return tar;
}

/** For a shell: a TCP server that says one line to whoever connects, and `up` when it listens. */
export const lineServer = (line: string, port = 80): string =>
  `busybox nc -ll -p ${port} -e busybox echo ${line} & ` +
  `until busybox netstat -ltn | busybox grep -q ':${port} '; do busybox usleep 20000; done; echo up; wait`;
