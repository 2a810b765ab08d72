/** A seccomp profile with conditions → the filter for one container (moby/profiles seccomp). */
import type { Seccomp, SeccompAction, SeccompArgument, SeccompRule } from "#runtime";
import { isAtLeast, type KernelVersion } from "./host-info.ts";
import { parseProfile } from "./seccomp-json.ts";
import { defaultProfile } from "./seccomp-profile.ts";

/** When a rule holds. All parts that are given must agree. */
export interface ProfileCondition {
  readonly caps?: readonly string[];
  /** Docker's names: "amd64", "x86", "arm64". */
  readonly arches?: readonly string[];
  /** "4.8" */
  readonly minKernel?: string;
}

export interface ProfileRule extends SeccompRule {
  readonly includes?: ProfileCondition;
  readonly excludes?: ProfileCondition;
}

/** What `--security-opt seccomp=FILE` brings: the OCI section plus conditions and a map of architectures. */
export interface SeccompProfile extends Omit<Seccomp, "syscalls"> {
  readonly archMap?: readonly { readonly architecture: string; readonly subArchitectures: readonly string[] }[];
  readonly syscalls: readonly ProfileRule[];
}

export interface SeccompTarget {
  /** Bounding set of the container. */
  readonly capabilities: readonly string[];
  /** Go's name. */
  readonly architecture: string;
  readonly kernel: KernelVersion;
}

/** Go's architecture → what profiles call it in conditions, and in `architectures`. */
const architectures: Readonly<Record<string, { readonly name: string; readonly seccomp: string }>> = {
  "386": { name: "x86", seccomp: "SCMP_ARCH_X86" },
  amd64: { name: "amd64", seccomp: "SCMP_ARCH_X86_64" },
  arm: { name: "arm", seccomp: "SCMP_ARCH_ARM" },
  arm64: { name: "arm64", seccomp: "SCMP_ARCH_AARCH64" },
  ppc64le: { name: "ppc64le", seccomp: "SCMP_ARCH_PPC64LE" },
  riscv64: { name: "riscv64", seccomp: "SCMP_ARCH_RISCV64" },
  s390x: { name: "s390x", seccomp: "SCMP_ARCH_S390X" },
};

export const defaultFilter = (target: SeccompTarget): Seccomp | undefined => applyProfile(defaultProfile, target);

/** `json` is the text of a profile; undefined when it says nothing at all, which means no filter. */
export const customFilter = (json: string, target: SeccompTarget): Seccomp | undefined =>
  applyProfile(parseProfile(json), target);

function applyProfile(profile: SeccompProfile, target: SeccompTarget): Seccomp | undefined {
  const { archMap, syscalls, ...section } = profile;
  if (section.defaultAction === ("" as SeccompAction) && syscalls.length === 0) return undefined;
  const native = architectures[target.architecture];
  const mapped = archMap?.find((entry) => entry.architecture === native?.seccomp);
  const rules = syscalls.filter((rule) => isWanted(rule, target, native?.name)).map(ruleOf);
  return {
    ...section,
    ...(mapped === undefined ? {} : { architectures: [mapped.architecture, ...mapped.subArchitectures] }),
    ...(rules.length === 0 ? {} : { syscalls: rules }),
  };
}

function isWanted(rule: ProfileRule, target: SeccompTarget, architecture: string | undefined): boolean {
  const { includes = {}, excludes = {} } = rule;
  const runsOn = (arches: readonly string[]): boolean => architecture !== undefined && arches.includes(architecture);
  const holds = (capability: string): boolean => target.capabilities.includes(capability);
  if (excludes.arches?.length && runsOn(excludes.arches)) return false;
  if (excludes.caps?.some(holds)) return false;
  if (excludes.minKernel && isAtLeast(target.kernel, kernelOf(excludes.minKernel))) return false;
  if (includes.arches?.length && !runsOn(includes.arches)) return false;
  if (includes.caps && !includes.caps.every(holds)) return false;
  return !includes.minKernel || isAtLeast(target.kernel, kernelOf(includes.minKernel));
}

function kernelOf(version: string): KernelVersion {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return { major, minor };
}

function ruleOf(rule: ProfileRule): SeccompRule {
  const { names, action, errnoRet, args } = rule;
  return {
    names,
    action,
    ...(errnoRet === undefined ? {} : { errnoRet }),
    ...(args === undefined ? {} : { args: args.map(argumentOf) }),
  };
}

/** Go leaves `valueTwo` out when it is zero, but profiles may spell it. */
function argumentOf(argument: SeccompArgument): SeccompArgument {
  const { index, value, valueTwo = 0, op } = argument;
  return { index, value, ...(valueTwo === 0 ? {} : { valueTwo }), op };
}
