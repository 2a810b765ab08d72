/** `--security-opt` (moby daemon_unix.go, parseSecurityOpt). */

import { EngineError } from "#base/errors";
import { goQuote } from "#base/strconv";

export interface SecurityOptions {
  readonly hasNoNewPrivileges: boolean;
  /** "" for the daemon's own, "unconfined", "builtin", or the text of a profile. */
  readonly seccomp: string;
  /** "" for the default. */
  readonly appArmor: string;
  /** undefined: as privileged as the container is. */
  readonly areCgroupsWritable: boolean | undefined;
  /** SELinux: `user:x`, `role:x`, `type:x`, `level:x`, `disable`. */
  readonly labels: readonly string[];
}

export function parseSecurityOptions(
  options: readonly string[] | null,
  hasNoNewPrivilegesByDefault = false,
): SecurityOptions {
  const parsed = {
    hasNoNewPrivileges: hasNoNewPrivilegesByDefault,
    seccomp: "",
    appArmor: "",
    areCgroupsWritable: undefined as boolean | undefined,
    labels: [] as string[],
  };
  for (const option of options ?? []) {
    const [key, value] = splitOption(option);
    switch (key) {
      case "no-new-privileges":
        parsed.hasNoNewPrivileges = value === undefined || boolOf(value, option);
        break;
      case "writable-cgroups":
        parsed.areCgroupsWritable = value === undefined || boolOf(value, option);
        break;
      case "disable":
        if (value !== undefined) throw invalid(2, option);
        parsed.labels.push("disable");
        break;
      case "label":
        parsed.labels.push(requiredValue(value, option));
        break;
      case "apparmor":
        parsed.appArmor = requiredValue(value, option);
        break;
      case "seccomp":
        parsed.seccomp = requiredValue(value, option);
        break;
      default:
        throw invalid(value === undefined ? 1 : 2, option);
    }
  }
  return parsed;
}

/** `key=value`, or as it was written before 2016, `key:value`. */
function splitOption(option: string): [key: string, value: string | undefined] {
  const separator = option.includes("=") ? "=" : ":";
  const cut = option.indexOf(separator);
  return cut < 0 ? [option, undefined] : [option.slice(0, cut), option.slice(cut + 1)];
}

function requiredValue(value: string | undefined, option: string): string {
  if (value === undefined) throw invalid(1, option);
  return value;
}

/** Go's strconv.ParseBool. */
function boolOf(value: string, option: string): boolean {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(value)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(value)) return false;
  throw invalid(2, option);
}

/** The numbers are moby's, and mean as little there; that it counts as the daemon's failure is moby's too. */
const invalid = (place: 1 | 2, option: string): EngineError =>
  new EngineError("system", `invalid --security-opt ${place}: ${goQuote(option)}`);
