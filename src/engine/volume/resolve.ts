/** A mount of a container's record → what the spec is built from. */
import { EngineError, errnoOf, messageOf } from "#base/errors";
import type { ForeignFiles, MountRecord } from "#storage";
import { idMappingsOf } from "../container/create/id-mappings.ts";
import { isPropagation, tmpfsMountOptions } from "../container/create/mount-spec.ts";
import type { ResolvedMount } from "../spec/mounts.ts";
import type { UserRemap } from "../user-remap.ts";

/** `source` is the final one on the host; of `-v` it is made when it is missing. */
export async function resolveMount(
  foreign: Pick<ForeignFiles, "makeFolder">,
  mount: MountRecord,
  source: string,
  remap?: UserRemap | undefined,
): Promise<ResolvedMount> {
  const resolved = toResolvedMount(mount, source);
  // `--mount` makes its source only when it is told to.
  const makesSource = mount.spec === null || mount.spec.BindOptions?.CreateMountpoint === true;
  if (mount.type === "bind" && makesSource) await makeSource(foreign, source, remap);
  return resolved;
}

export function toResolvedMount(mount: MountRecord, source: string): ResolvedMount {
  const { destination, spec } = mount;
  if (mount.type === "tmpfs") {
    return { type: "tmpfs", destination, options: tmpfsMountOptions(spec?.TmpfsOptions ?? null, !mount.rw) };
  }
  const options = mount.type === "bind" ? (spec?.BindOptions ?? null) : null;
  const { NonRecursive = false, ReadOnlyNonRecursive = false, ReadOnlyForceRecursive = false } = options ?? {};
  if (mount.rw) {
    const conflict = (name: string): Error => new Error(`mount options conflict: !ReadOnly && BindOptions.${name}`);
    if (ReadOnlyNonRecursive) throw conflict("ReadOnlyNonRecursive");
    if (ReadOnlyForceRecursive) throw conflict("ReadOnlyForceRecursive");
  }
  return {
    type: "bind",
    source,
    destination,
    isWritable: mount.rw,
    propagation: mount.propagation,
    isPropagationImplied: !isPropagationAsked(mount),
    isNonRecursive: NonRecursive,
    isReadOnlyNonRecursive: ReadOnlyNonRecursive || mount.isReadOnlyNonRecursive === true,
    isReadOnlyForceRecursive: ReadOnlyForceRecursive,
    idMappings: idMappingsOf(mount.mode),
  };
}

/** Binds of the daemon's own folder are slaves by default. */
const isPropagationAsked = ({ spec, mode }: MountRecord): boolean =>
  Boolean(spec?.BindOptions?.Propagation) || mode.split(",").some(isPropagation);

/** A file in the way is no fault: a file may be mounted, too. */
async function makeSource(
  foreign: Pick<ForeignFiles, "makeFolder">,
  source: string,
  remap: UserRemap | undefined,
): Promise<void> {
  try {
    await foreign.makeFolder(source, remap?.root);
  } catch (error) {
    if (errnoOf(error) === "EEXIST" || errnoOf(error) === "ENOTDIR") return;
    const message = `error while creating mount source path '${source}': ${messageOf(error)}`;
    throw new EngineError("system", message, { cause: error });
  }
}
