/**
 * AppArmor: which profile confines a container's processes, and Docker's own one, which is made and loaded when the kernel does
 * not have it (moby daemon/apparmor_default.go; the rules are those of moby/profiles 0.2).
 */
import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { HostConfig } from "#api-schema/container-config";
import { EngineError, messageOf } from "#base/errors";
import { appArmorParser, loadPolicy, type Process } from "#runtime";
import type { SecurityOptions } from "./security-options.ts";

const defaultProfile = "docker-default";
const loadedProfiles = "/sys/kernel/security/apparmor/profiles";
const policies = "/etc/apparmor.d";

/** The kernel has it, and confines. */
export const hasAppArmor = (): boolean => existsSync(loadedProfiles);

/** Profiles are given to containers: not where nothing can load them, nor by an engine that is in a container itself. */
export function canConfine(env: Readonly<Record<string, string | undefined>>): boolean {
  return hasAppArmor() && existsSync(appArmorParser) && !env.container;
}

/** As `docker inspect` tells it. */
export function profileOf(hostConfig: HostConfig, security: SecurityOptions): string {
  if (hostConfig.Privileged) return "unconfined";
  return security.appArmor || defaultProfile;
}

/** Before each start: what else manages profiles on this host may have unloaded ours. */
export async function ensureProfile(process: Process | undefined): Promise<void> {
  if (process?.apparmorProfile === defaultProfile) await ensureDefaultProfile();
}

async function ensureDefaultProfile(): Promise<void> {
  const loaded = await readFile(loadedProfiles, "utf8");
  if (loaded.split("\n").some((line) => line.startsWith(`${defaultProfile} `))) return;
  try {
    await loadPolicy(defaultPolicy());
  } catch (error) {
    const reason = `the ${defaultProfile} profile could not be loaded: ${messageOf(error)}`;
    throw new EngineError("system", `AppArmor enabled on system but ${reason}`, { cause: error });
  }
}

/** A container does what it likes with files and sockets, but neither mounts nor writes to what belongs to the kernel. */
function defaultPolicy(): string {
  const has = (file: string) => existsSync(`${policies}/${file}`);
  const peers = ["unconfined", "runc", "crun", ownProfile()];
  return `
${has("tunables/global") ? "#include <tunables/global>" : "@{PROC}=/proc/"}

profile ${defaultProfile} flags=(attach_disconnected,mediate_deleted) {
  ${has("abstractions/base") ? "#include <abstractions/base>" : ""}
  network,
  # CVE-2026-31431; a 32-bit socketcall(2) gets past seccomp, whose filter cannot see the family.
  deny network alg,
  capability,
  file,
  umount,

  # From the host, from a runtime, and among themselves.
  ${[...new Set(peers)].map((peer) => `signal (receive) peer=${peer},`).join("\n  ")}
  signal (send,receive) peer=${defaultProfile},
  ptrace (trace,read,tracedby,readby) peer=${defaultProfile},

  # Of /proc only processes' own folders and sys/kernel/shm*.
  deny @{PROC}/* w,
  deny @{PROC}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9/]*}/** w,
  deny @{PROC}/sys/[^k]** w,
  deny @{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w,
  deny @{PROC}/sysrq-trigger rwklx,
  deny @{PROC}/kcore rwklx,

  deny mount,

  # Of /sys only fs/cgroup.
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
`;
}

/** The one that this daemon runs under. */
function ownProfile(): string {
  try {
    const [profile = ""] = readFileSync("/proc/self/attr/current", "utf8").split(/[ \n\0]/);
    return profile || "unconfined";
  } catch {
    return "unconfined"; // The kernel has no label for it.
  }
}
