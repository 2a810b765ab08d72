/** One mount as the API words it: `HostConfig.Mounts` and `HostConfig.Binds` (moby volume/mounts/linux_parser.go). */

import type { Mount, TmpfsOptions } from "#api-schema/mount";
import { EngineError, messageOf } from "#base/errors";
import { goQuote } from "#base/strconv";
import { cleanPath } from "../validate/config.ts";
import { isIdmapWord } from "./id-mappings.ts";

/** Whether a path on the host exists; binds of `--mount` do not make their source. Throws when that cannot be told. */
export type PathExists = (path: string) => boolean;

const propagations = new Set(["private", "rprivate", "slave", "rslave", "shared", "rshared"]);

export const isPropagation = (word: string): boolean => propagations.has(word);

/** Plain errors: the two notations put different words around them, and even different statuses. */
const refuse = (message: string): never => {
  throw new Error(message);
};
const refuseExtra = (field: string): never => refuse(`field ${field} must not be specified`);
const refuseMissing = (field: string): never => refuse(`field ${field} must not be empty`);

/** Checks one entry of HostConfig.Mounts. */
export function checkMount(mount: Mount, exists: PathExists): void {
  try {
    checkTarget(mount.Target);
    const check = checksByType[mount.Type];
    if (check === undefined) refuse("mount type unknown");
    else check(mount, exists);
  } catch (error) {
    const message = `invalid mount config for type ${goQuote(mount.Type)}: ${messageOf(error)}`;
    throw new EngineError("invalidParameter", message, { cause: error });
  }
}

function checkTarget(target: string): void {
  if (target === "") refuseMissing("Target");
  checkNotRoot(target);
  checkAbsolute(target);
}

/** Also for the keys of HostConfig.Tmpfs. */
export function checkTmpfsTarget(target: string): void {
  try {
    checkNotRoot(target);
    checkAbsolute(target);
  } catch (error) {
    throw new EngineError("invalidParameter", messageOf(error), { cause: error });
  }
}

/** Windows clients may send backslashes. */
const slashes = (path: string): string => path.replaceAll("\\", "/");

function checkNotRoot(path: string): void {
  if (cleanPath(slashes(path)) === "/") refuse("invalid specification: destination can't be '/'");
}

function checkAbsolute(path: string): void {
  const shown = slashes(path);
  if (!shown.startsWith("/")) refuse(`invalid mount path: '${shown}' mount path must be absolute`);
}

function checkBind(mount: Mount, exists: PathExists): void {
  if (mount.Source === "") refuseMissing("Source");
  const propagation = mount.BindOptions?.Propagation ?? "";
  if (propagation !== "" && !propagations.has(propagation)) refuse(`invalid propagation mode: ${propagation}`);
  if (mount.VolumeOptions !== null) refuseExtra("VolumeOptions");
  if (mount.ImageOptions !== null) refuseExtra("ImageOptions");
  checkAbsolute(mount.Source);
  if (!exists(mount.Source) && !mount.BindOptions?.CreateMountpoint) {
    refuse(`bind source path does not exist: ${mount.Source}`);
  }
}

function checkVolume(mount: Mount): void {
  if (mount.BindOptions !== null) refuseExtra("BindOptions");
  if (mount.ImageOptions !== null) refuseExtra("ImageOptions");
  const isAnonymous = mount.Source === "";
  const subpath = mount.VolumeOptions?.Subpath ?? "";
  if (subpath !== "" && isAnonymous) refuse("must not set Subpath when using anonymous volumes");
  checkSubpath(subpath);
  if (mount.ReadOnly && isAnonymous) refuse("must not set ReadOnly mode when using anonymous volumes");
}

function checkTmpfs(mount: Mount): void {
  if (mount.BindOptions !== null) refuseExtra("BindOptions");
  if (mount.ImageOptions !== null) refuseExtra("ImageOptions");
  if (mount.Source !== "") refuseExtra("Source");
  tmpfsMountOptions(mount.TmpfsOptions, mount.ReadOnly);
}

function checkImage(mount: Mount): void {
  if (mount.BindOptions !== null) refuseExtra("BindOptions");
  if (mount.VolumeOptions !== null) refuseExtra("VolumeOptions");
  if (mount.Source === "") refuseMissing("Source");
  checkSubpath(mount.ImageOptions?.Subpath ?? "");
}

const checksByType: Readonly<Record<string, (mount: Mount, exists: PathExists) => void>> = {
  bind: checkBind,
  volume: checkVolume,
  tmpfs: checkTmpfs,
  image: checkImage,
};

/** Lexically inside (Go's filepath.IsLocal); that no link leads outside is seen when it is mounted. */
function checkSubpath(subpath: string): void {
  const isLocal =
    !subpath.startsWith("/") &&
    !cleanPath(subpath || ".")
      .split("/")
      .includes("..");
  if (!isLocal) refuse("subpath must be a relative path within the volume");
}

/** What `--mount type=tmpfs` says, in mount(8)'s words. */
export function tmpfsMountOptions(options: TmpfsOptions | null, isReadOnly: boolean): string {
  const { Mode = 0, SizeBytes = 0, Options = null } = options ?? {};
  return [
    ...(isReadOnly ? ["ro"] : []),
    ...(Mode === 0 ? [] : [`mode=${Mode.toString(8)}`]),
    ...(SizeBytes === 0 ? [] : [`size=${sizeWithUnit(Number(SizeBytes))}`]),
    ...(Options ?? []).map(tmpfsOption),
  ].join(",");
}

function tmpfsOption(option: readonly string[] | null): string {
  const [name = "", value] = option ?? [];
  if (option === null || option.length < 1 || option.length > 2) refuse("invalid option array length");
  if (name !== "exec" && name !== "noexec") refuse(`invalid option: ${name}`);
  return value === undefined ? name : `${name}=${value}`;
}

function sizeWithUnit(bytes: number): string {
  for (const [unit, size] of [
    ["g", 2 ** 30],
    ["m", 2 ** 20],
    ["k", 2 ** 10],
  ] as const) {
    if (bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return String(bytes);
}

/** A bind of `-v`: what it says as a mount, and its mode as it was written. */
export interface ParsedBind {
  readonly mount: Mount;
  readonly mode: string;
}

/** `name-or-path:target[:mode]`, or a target alone for an anonymous volume. */
export function parseBind(text: string, volumeDriver: string): ParsedBind {
  const { source, target, mode } = splitBind(text);
  const options = mode.split(",");
  const isBind = source.startsWith("/");
  const isCopyOff = options.includes("nocopy");
  const propagation = options.find((option) => propagations.has(option));
  const driver = !isBind && volumeDriver !== "" ? { Name: volumeDriver, Options: null } : null;
  const mount: Mount = {
    ...emptyMount,
    Type: isBind ? "bind" : "volume",
    Source: source,
    Target: target,
    ReadOnly: isReadOnlyMode(mode),
    VolumeOptions:
      driver !== null || isCopyOff ? { NoCopy: isCopyOff, Labels: null, Subpath: "", DriverConfig: driver } : null,
    BindOptions: propagation === undefined ? null : { ...emptyBindOptions, Propagation: propagation },
  };
  try {
    checkMount(mount, () => true);
  } catch (error) {
    throw new EngineError("system", `invalid volume specification: '${text}': ${messageOf(error)}`, { cause: error });
  }
  return { mount, mode };
}

function splitBind(text: string): { source: string; target: string; mode: string } {
  const invalid = new EngineError("system", `invalid volume specification: '${text}'`);
  const [first = "", second, third, ...rest] = text.split(":");
  if (first === "" || rest.length > 0) throw invalid;
  if (second === undefined) return { source: "", target: first, mode: "" };
  if (third === undefined) {
    // "/foo:ro": nothing can be mounted at "ro", so a target was forgotten.
    if (isMountMode(second)) throw invalid;
    return { source: first, target: second, mode: "" };
  }
  if (!isMountMode(third)) throw new EngineError("system", `invalid mode: ${third}`);
  return { source: first, target: second, mode: third };
}

interface WordKind {
  has(word: string): boolean;
}

const modeWords: readonly WordKind[] = [
  new Set(["rw", "ro"]),
  new Set(["z", "Z"]),
  propagations,
  new Set(["nocopy"]),
  new Set(["consistent", "cached", "delegated", "default"]),
  { has: isIdmapWord },
];

/** At most one word of each kind, and no other; "" is a mode too. */
function isMountMode(mode: string): boolean {
  if (mode === "") return true;
  const words = mode.split(",");
  return (
    words.every((word) => modeWords.some((kind) => kind.has(word))) &&
    modeWords.every((kind) => words.filter((word) => kind.has(word)).length <= 1)
  );
}

const isReadOnlyMode = (mode: string): boolean => mode.split(",").includes("ro");

/** `container[:mode]` of --volumes-from. */
export function parseVolumesFrom(text: string): { container: string; isReadOnly: boolean } {
  if (text === "") {
    throw new EngineError("invalidParameter", "volumes-from specification cannot be an empty string");
  }
  const cut = text.indexOf(":");
  const container = cut < 0 ? text : text.slice(0, cut);
  const mode = cut < 0 ? "" : text.slice(cut + 1);
  const words = mode.split(",");
  // What the donor's mounts are like is not for the borrower to say.
  const isOfDonor = (word: string): boolean => word === "nocopy" || propagations.has(word) || isIdmapWord(word);
  if (!isMountMode(mode) || words.some(isOfDonor)) {
    throw new EngineError("invalidParameter", `invalid mode: ${mode}`);
  }
  return { container, isReadOnly: isReadOnlyMode(mode) };
}

const emptyMount: Mount = {
  Type: "",
  Source: "",
  Target: "",
  ReadOnly: false,
  Consistency: "",
  BindOptions: null,
  VolumeOptions: null,
  ImageOptions: null,
  TmpfsOptions: null,
  ClusterOptions: null,
};

const emptyBindOptions = {
  Propagation: "",
  NonRecursive: false,
  CreateMountpoint: false,
  ReadOnlyNonRecursive: false,
  ReadOnlyForceRecursive: false,
};
