/** Capabilities by name: capability.h's numbers, Docker's defaults, `--cap-add` and `--cap-drop` (moby oci/caps). */
import { EngineError } from "#base/errors";
import { goQuote } from "#base/strconv";

/** In the order of their numbers (linux/capability.h). */
const names = [
  "CHOWN",
  "DAC_OVERRIDE",
  "DAC_READ_SEARCH",
  "FOWNER",
  "FSETID",
  "KILL",
  "SETGID",
  "SETUID",
  "SETPCAP",
  "LINUX_IMMUTABLE",
  "NET_BIND_SERVICE",
  "NET_BROADCAST",
  "NET_ADMIN",
  "NET_RAW",
  "IPC_LOCK",
  "IPC_OWNER",
  "SYS_MODULE",
  "SYS_RAWIO",
  "SYS_CHROOT",
  "SYS_PTRACE",
  "SYS_PACCT",
  "SYS_ADMIN",
  "SYS_BOOT",
  "SYS_NICE",
  "SYS_RESOURCE",
  "SYS_TIME",
  "SYS_TTY_CONFIG",
  "MKNOD",
  "LEASE",
  "AUDIT_WRITE",
  "AUDIT_CONTROL",
  "SETFCAP",
  "MAC_OVERRIDE",
  "MAC_ADMIN",
  "SYSLOG",
  "WAKE_ALARM",
  "BLOCK_SUSPEND",
  "AUDIT_READ",
  "PERFMON",
  "BPF",
  "CHECKPOINT_RESTORE",
].map((name) => `CAP_${name}`);

export const defaultCapabilities: readonly string[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
];

export const knownCapabilities = (last: number): string[] => names.slice(0, last + 1);

/** The names of a mask as /proc/self/status prints it. */
export const availableCapabilities = (mask: bigint): string[] =>
  names.filter((_, number) => ((mask >> BigInt(number)) & 1n) === 1n);

export interface CapabilityHost {
  readonly knownCapabilities: readonly string[];
  readonly capabilities: readonly string[];
}

/** Upper case, with CAP_; "ALL" stays. Refuses what the kernel has not or the daemon cannot give. */
export function normalizeCapabilities(wanted: readonly string[] | null, host: CapabilityHost): string[] {
  return (wanted ?? []).map((text) => {
    const upper = text.toUpperCase();
    if (upper === "ALL") return upper;
    const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
    if (!host.knownCapabilities.includes(name)) {
      throw new EngineError("invalidParameter", `unknown capability: ${goQuote(name)}`);
    }
    if (!host.capabilities.includes(name)) {
      const reason = "capability not supported by your kernel or not available in the current environment";
      throw new EngineError("invalidParameter", `${reason}: "${name}"`);
    }
    return name;
  });
}

export interface CapabilityChoice {
  readonly CapAdd: readonly string[] | null;
  readonly CapDrop: readonly string[] | null;
  readonly Privileged: boolean;
}

export function chooseCapabilities(choice: CapabilityChoice, host: CapabilityHost): string[] {
  if (choice.Privileged) return [...host.capabilities];
  const drop = normalizeCapabilities(choice.CapDrop, host);
  const add = normalizeCapabilities(choice.CapAdd, host);
  if (add.includes("ALL")) return host.capabilities.filter((name) => !drop.includes(name));
  if (drop.includes("ALL")) return add;
  return [...defaultCapabilities.filter((name) => !drop.includes(name)), ...add];
}
