import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { must, run } from "./command.ts";

const cache = "/var/tmp/minidock-test-cache";

/**
 * Puts a CRIU that works on this kernel into PATH. Debian 12's does not know newer kernels, so sid's is fetched (8 MB, once)
 * and run by the loader and libraries that came with it. Returns why there is none.
 */
export async function provideCriu(): Promise<string | undefined> {
  if (await checks()) return undefined;
  const folder = join(cache, "criu");
  try {
    if (!existsSync(folder)) await fetchCriu(folder);
  } catch (error) {
    return `no CRIU that works here, and none to be had: ${String(error).slice(0, 200)}`;
  }
  process.env.PATH = `${folder}/bin:${process.env.PATH}`;
  return (await checks()) ? undefined : "CRIU does not work on this kernel";
}

const checks = async (): Promise<boolean> =>
  (await run(["sh", "-c", "command -v criu >/dev/null && criu check"])).status === 0;

async function fetchCriu(folder: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, "criu-"));
  try {
    for (const name of ["apt/lists/partial", "apt/archives/partial", "bin", "root"])
      await mkdir(join(work, name), { recursive: true });
    await download(join(work, "apt"));
    for (const name of await readdir(join(work, "apt/archives")))
      if (name.endsWith(".deb")) await must(["dpkg-deb", "-x", join(work, "apt/archives", name), join(work, "root")]);
    await rm(join(work, "apt"), { recursive: true });
    const root = join(folder, "root");
    const line = `exec ${root}/usr/lib64/ld-linux-x86-64.so.2 --library-path ${root}/usr/lib/x86_64-linux-gnu ${root}/usr/sbin/criu "$@"`;
    await writeFile(join(work, "bin/criu"), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
    await rename(work, folder);
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    if (!existsSync(folder)) throw error; // somebody else was faster
  }
}

/** apt in a world of its own: nothing is installed there, so criu comes with all that it needs. */
async function download(apt: string): Promise<void> {
  const sources = "sed -n 's/^URIs: //p' /etc/apt/sources.list.d/debian.sources | head -1";
  const mirror = (await must(["sh", "-c", sources])) || "http://deb.debian.org/debian";
  await writeFile(join(apt, "status"), "");
  await writeFile(join(apt, "sources.list"), `deb ${mirror} sid main\n`);
  const settings = {
    "Dir::State": apt,
    "Dir::State::status": join(apt, "status"),
    "Dir::Cache": apt,
    "Dir::Etc::sourcelist": join(apt, "sources.list"),
    "Dir::Etc::sourceparts": "/dev/null",
    "Dir::Etc::preferences": "/dev/null",
    "Dir::Etc::preferencesparts": "/dev/null",
    "APT::Sandbox::User": "root",
    "APT::Install-Recommends": "false",
    "Acquire::Languages": "none",
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  await must(["apt-get", "-q", ...options, "update"]);
  await must(["apt-get", "-q", ...options, "install", "-y", "--download-only", "criu"]);
}
