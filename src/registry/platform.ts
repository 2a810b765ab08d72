import { readFile } from "node:fs/promises";
import { EngineError } from "#base/errors";

/** OCI image spec, image-index.md: what a manifest runs on. Absent and empty mean the same. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly osVersion?: string;
  /** What it needs of the system beside the version. */
  readonly osFeatures?: readonly string[];
}

const architectureOfNode: Readonly<Record<string, string>> = {
  x64: "amd64",
  ia32: "386",
  arm64: "arm64",
  arm: "arm",
  ppc64: "ppc64le",
  s390x: "s390x",
  riscv64: "riscv64",
  loong64: "loong64",
};
export const hostArchitecture = architectureOfNode[process.arch] ?? process.arch;
export const hostPlatform: Platform = { os: "linux", architecture: hostArchitecture };

/** psABI levels of x86-64: all flags of a level and of those below it. */
const amd64Levels: readonly (readonly [variant: string, flags: string])[] = [
  ["v2", "cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3"],
  ["v3", "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"],
  ["v4", "avx512f avx512bw avx512cd avx512dq avx512vl"],
];

/** The best that this CPU runs, so that an index's entry for `amd64/v3` is preferred where it works. */
export async function bestHostPlatform(): Promise<Platform> {
  if (hostArchitecture !== "amd64") return hostPlatform;
  const text = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
  const flags = new Set(/^flags\s*:(.*)$/m.exec(text)?.[1]?.split(" "));
  const missing = amd64Levels.findIndex(([, wanted]) => !wanted.split(" ").every((flag) => flags.has(flag)));
  const variant = amd64Levels[(missing < 0 ? amd64Levels.length : missing) - 1]?.[0];
  return variant === undefined ? hostPlatform : { ...hostPlatform, variant };
}

const knownSystems = new Set(
  "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos".split(
    " ",
  ),
);
const knownArchitectures = new Set(
  (
    "386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 mips64le mips64p32 " +
    "mips64p32le ppc riscv riscv64 s390 s390x sparc sparc64 wasm"
  ).split(" "),
);
const systemPattern = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.-]*)\))?$/;
const partPattern = /^[A-Za-z0-9_.-]+$/;

/** `linux/arm64/v8`, `linux`, `arm64`: the `platform` query word (containerd/platforms, Parse and its errors). */
export function parsePlatform(text: string): Platform {
  const fail = (what: string) => new EngineError("invalidParameter", `${what}: invalid argument`);
  if (text.includes("*")) throw fail(`${quoted(text)}: wildcards not yet supported`);
  const parts = text.split("/");
  const [first = "", second = "", third = ""] = parts;
  const system = systemPattern.exec(first);
  if (system === null) {
    const pattern = quoted(systemPattern.source);
    throw fail(
      `${quoted(first)} is an invalid OS component of ${quoted(text)}: OSAndVersion specifier component must match ${pattern}`,
    );
  }
  const bad = parts.slice(1, 4).find((part) => !partPattern.test(part));
  if (bad !== undefined) {
    const pattern = quoted(partPattern.source);
    throw fail(
      `${quoted(bad)} is an invalid component of ${quoted(text)}: platform specifier component must match ${pattern}`,
    );
  }
  const os = normalizeSystem(system[1] ?? "");
  const osVersion = system[2] === undefined || system[2] === "" ? {} : { osVersion: system[2] };
  if (parts.length === 1) {
    if (knownSystems.has(os)) return { os, architecture: hostArchitecture, ...osVersion };
    const only = withoutDefaultVariant(normalizeArchitecture(first, ""));
    if (!knownArchitectures.has(only.architecture))
      throw fail(`${quoted(text)}: unknown operating system or architecture`);
    return { os: "linux", ...only };
  }
  if (parts.length === 2) return { os, ...withoutDefaultVariant(normalizeArchitecture(second, "")), ...osVersion };
  if (parts.length > 3) throw fail(`${quoted(text)}: cannot parse platform specifier`);
  const full = normalizeArchitecture(second, third);
  return { os, ...(full.architecture === "arm64" && !full.variant ? { ...full, variant: "v8" } : full), ...osVersion };
}

export function formatPlatform(platform: Platform): string {
  if (platform.os === "") return "unknown";
  const os = platform.osVersion ? `${platform.os}(${platform.osVersion})` : platform.os;
  return [os, platform.architecture, platform.variant].filter((part) => part !== undefined && part !== "").join("/");
}

export function normalizePlatform(platform: Platform): Platform {
  return {
    ...platform,
    os: normalizeSystem(platform.os),
    ...normalizeArchitecture(platform.architecture, platform.variant ?? ""),
  };
}

/** Ranks what can run on `wanted`, best first (0); undefined when it cannot. */
export function platformRank(wanted: Platform, offered: Platform): number | undefined {
  if (offered.osFeatures?.some((feature) => wanted.osFeatures?.includes(feature) !== true)) return undefined;
  const other = normalizePlatform(offered);
  const rank = compatible(normalizePlatform(wanted)).findIndex((one) => isSame(normalizePlatform(one), other));
  return rank < 0 ? undefined : rank;
}

/** An image's config may lack the variant that its platform implies (moby daemon/images, OnlyPlatformWithFallback). */
export function imageRunsOn(wanted: Platform, image: Platform): boolean {
  if (platformRank(wanted, image) !== undefined) return true;
  if (image.variant) return false;
  const a = normalizePlatform(wanted);
  const b = normalizePlatform(image);
  return a.os === b.os && a.architecture === b.architecture;
}

/** `load` and `save` take no substitutes. */
export const isSamePlatform = (a: Platform, b: Platform): boolean => isSame(normalizePlatform(a), normalizePlatform(b));

const isSame = (a: Platform, b: Platform): boolean =>
  a.os === b.os && a.architecture === b.architecture && (a.variant ?? "") === (b.variant ?? "");

/** The platforms whose binaries run here, best first: older variants, then the 32-bit sibling. */
function compatible(platform: Platform): Platform[] {
  const { os, architecture, variant } = platform;
  const level = Number.parseInt((variant ?? "").replace(/^v/, ""), 10);
  const down = (from: number, to: number) =>
    Array.from({ length: Math.max(0, from - to) }, (_, i) => ({ os, architecture, variant: `v${from - 1 - i}` }));
  switch (architecture) {
    case "amd64":
      return [platform, ...(level > 1 ? down(level, 1) : []), { os, architecture: "386" }];
    case "arm":
      return [platform, ...(level > 5 ? down(level, 5) : [])];
    case "arm64":
      return [...arm64Levels(os, variant || "v8"), ...compatible({ os, architecture: "arm", variant: "v8" })];
    default:
      return [platform];
  }
}

/** Armv9.n includes Armv8.(n+5). */
function arm64Levels(os: string, variant: string): Platform[] {
  const match = /^v([89])(?:\.(\d))?$/.exec(variant);
  if (match === null) return [];
  const minor = Number(match[2] ?? 0);
  const steps = (major: number, from: number) =>
    Array.from({ length: from + 1 }, (_, i) => from - i).map((n) => ({
      os,
      architecture: "arm64",
      variant: n === 0 ? `v${major}` : `v${major}.${n}`,
    }));
  return match[1] === "9" ? [...steps(9, minor), ...steps(8, Math.min(minor + 5, 9))] : steps(8, minor);
}

function normalizeSystem(os: string): string {
  const lower = os.toLowerCase();
  if (lower === "") return "linux";
  return lower === "macos" ? "darwin" : lower;
}

interface Architecture {
  readonly architecture: string;
  readonly variant: string;
}

function normalizeArchitecture(architecture: string, variant: string): Architecture {
  const name = architecture.toLowerCase();
  const level = variant.toLowerCase();
  switch (name) {
    case "i386":
      return { architecture: "386", variant: "" };
    case "x86_64":
    case "x86-64":
    case "amd64":
      return { architecture: "amd64", variant: level === "v1" ? "" : level };
    case "aarch64":
    case "arm64":
      if (["8", "v8", "v8.0"].includes(level)) return { architecture: "arm64", variant: "" };
      return { architecture: "arm64", variant: ["9", "9.0", "v9.0"].includes(level) ? "v9" : level };
    case "armhf":
      return { architecture: "arm", variant: "v7" };
    case "armel":
      return { architecture: "arm", variant: "v6" };
    case "arm":
      if (level === "" || level === "7") return { architecture: "arm", variant: "v7" };
      return { architecture: "arm", variant: /^[568]$/.test(level) ? `v${level}` : level };
    default:
      return { architecture: name, variant: level };
  }
}

const withoutDefaultVariant = (one: Architecture): Architecture =>
  one.architecture === "arm" && one.variant === "v7" ? { ...one, variant: "" } : one;

/** Go's %q for the printable text that comes here. */
const quoted = (text: string): string => JSON.stringify(text);
