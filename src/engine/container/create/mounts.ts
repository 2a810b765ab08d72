/**
 * What a new container mounts, decided once at create (moby daemon/volumes.go, create_unix.go): first what it borrows from
 * others, then its own binds and mounts, then the volumes that the image declares and nothing else covers.
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import type { ContainerConfig, HostConfig } from "#api-schema/container-config";
import type { Mount } from "#api-schema/mount";
import { EngineError } from "#base/errors";
import type { Id } from "#base/ids";
import { goQuote } from "#base/strconv";
import type { MountRecord, Storage } from "#storage";
import type { ImageService } from "../../image/service.ts";
import type { VolumeService } from "../../volume/service.ts";
import { cleanPath } from "../validate/config.ts";
import { isIdmapWord } from "./id-mappings.ts";
import { type ParsedBind, parseBind, parseVolumesFrom } from "./mount-spec.ts";
import { openNewRoot } from "./new-root.ts";

export interface MountsContext {
  readonly volumes: Pick<VolumeService, "ensure" | "reference" | "discard">;
  readonly images: Pick<ImageService, "get">;
  readonly storage: { readonly snapshots: Pick<Storage["snapshots"], "mount" | "prepareView"> };
  readonly index: { get(reference: string): { readonly record: { readonly mounts: MountRecord[] } } };
  readonly defaults: { readonly dataRoot: string; readonly execRoot: string };
}

export interface NewContainer {
  readonly id: Id;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly isReadOnlyNonRecursive?: boolean;
}

/** Makes the volumes and the working directory, too. What it made is undone when it throws; afterwards by `volumes.discard`. */
export async function resolveMounts(context: MountsContext, container: NewContainer): Promise<MountRecord[]> {
  const { id, config, hostConfig } = container;
  const mounts = new Map<string, MountRecord>();
  await using undo = new AsyncDisposableStack();
  undo.defer(() => context.volumes.discard(id, [...mounts.values()]));
  for (const borrowed of borrowedMounts(context, hostConfig.VolumesFrom)) {
    if (borrowed.type === "volume") await context.volumes.reference(borrowed.name, id);
    mounts.set(borrowed.destination, borrowed.type === "image" ? makeView(context, id, borrowed) : borrowed);
  }
  for (const planned of planMounts(hostConfig, context.defaults.dataRoot)) {
    mounts.set(planned.destination, await realize(context, container, planned));
  }
  const root = await openNewRoot(context.storage.snapshots, id, config);
  await using _root = root;
  for (const destination of Object.keys(config.Volumes ?? {}).map(cleanPath)) {
    if (mounts.has(destination) || Object.hasOwn(hostConfig.Tmpfs ?? {}, destination)) continue;
    root.requireDirectory(destination);
    const planned = declaredVolume(destination, hostConfig.VolumeDriver);
    mounts.set(destination, await makeVolume(context, id, planned));
  }
  undo.move();
  return [...mounts.values()];
}

async function realize(
  context: MountsContext,
  { id, isReadOnlyNonRecursive = false }: NewContainer,
  planned: MountRecord,
): Promise<MountRecord> {
  switch (planned.type) {
    case "volume":
      return makeVolume(context, id, planned);
    case "image":
      return makeView(context, id, planned);
    case "bind":
      return !planned.rw && isReadOnlyNonRecursive ? { ...planned, isReadOnlyNonRecursive } : planned;
    default:
      return planned;
  }
}

/** The image is remembered by its id: its name may move. */
function makeView(context: MountsContext, id: Id, planned: MountRecord): MountRecord {
  const { destination, name, spec } = planned;
  const image = context.images.get(spec?.Source ?? name);
  context.storage.snapshots.prepareView(id, destination, image.chainId);
  const folder = createHash("sha256").update(destination).digest("hex").slice(0, 12);
  const source = join(context.defaults.execRoot, "image-mounts", id, folder, "merged");
  return { ...planned, source, spec: spec === null ? null : { ...spec, Source: image.id } };
}

function borrowedMounts(context: MountsContext, volumesFrom: readonly string[] | null): MountRecord[] {
  return (volumesFrom ?? []).flatMap((text) => {
    const { container, isReadOnly } = parseVolumesFrom(text);
    const donor = findDonor(context, container);
    return donor.map((mount) => ({
      ...mount,
      mode: mount.mode.split(",").filter(isIdmapWord).join(","),
      rw: mount.rw && !isReadOnly,
      copyUp: false,
    }));
  });
}

function findDonor(context: MountsContext, reference: string): readonly MountRecord[] {
  try {
    return context.index.get(reference).record.mounts;
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw new EngineError("invalidParameter", error.message, { cause: error });
  }
}

/** Binds before Mounts, each in its order; two on one destination are refused. */
export function planMounts(hostConfig: HostConfig, dataRoot: string): MountRecord[] {
  const taken = new Set<string>();
  const claim = (destination: string, shown: string): void => {
    if (taken.has(destination)) throw new EngineError("invalidParameter", `Duplicate mount point: ${shown}`);
    taken.add(destination);
  };
  const binds = (hostConfig.Binds ?? []).map((text) => {
    const bind = parseBind(text, hostConfig.VolumeDriver);
    const planned = planMount(bind, dataRoot, null);
    if (Object.hasOwn(hostConfig.Tmpfs ?? {}, planned.destination)) taken.add(planned.destination);
    claim(planned.destination, planned.destination);
    return planned;
  });
  const mounts = (hostConfig.Mounts ?? []).map((mount) => {
    const planned = planMount({ mount, mode: "" }, dataRoot, mount);
    claim(planned.destination, mount.Target);
    return planned;
  });
  return [...binds, ...mounts];
}

function planMount({ mount, mode }: ParsedBind, dataRoot: string, spec: Mount | null): MountRecord {
  const isAnonymous = mount.Type === "volume" && mount.Source === "";
  const common = {
    name: "",
    source: "",
    destination: cleanPath(mount.Target),
    driver: "",
    mode,
    rw: !mount.ReadOnly,
    propagation: "",
    isAnonymous,
    copyUp: false,
    // What `-v` can say about a bind beyond the fields here is its mode alone.
    spec: spec ?? (mount.Type === "volume" ? mount : null),
  };
  switch (mount.Type) {
    case "bind":
      return { ...common, type: "bind", source: cleanPath(mount.Source), propagation: propagationOf(mount, dataRoot) };
    case "volume": {
      const { NoCopy = false, DriverConfig = null } = mount.VolumeOptions ?? {};
      return { ...common, type: "volume", name: mount.Source, driver: DriverConfig?.Name ?? "", copyUp: !NoCopy };
    }
    case "tmpfs":
      return { ...common, type: "tmpfs" };
    case "image":
      return { ...common, type: "image", name: mount.Source, rw: false, propagation: "rprivate" };
    default:
      throw new EngineError("notImplemented", `mounts of type ${goQuote(mount.Type)} are not supported`);
  }
}

/** A mount of the daemon's own folder must see mounts go, or it would keep the file systems of containers busy. */
function propagationOf(mount: Mount, dataRoot: string): string {
  const asked = mount.BindOptions?.Propagation ?? "";
  const { Source: source } = mount;
  if (!source.startsWith(dataRoot) && !dataRoot.startsWith(source)) return asked || "rprivate";
  if (asked === "") return "rslave";
  if (asked === "rslave" || asked === "rshared") return asked;
  const message =
    'invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is within the daemon root';
  throw new EngineError(
    "invalidParameter",
    `${message}, daemon root: ${goQuote(dataRoot)}, bind mount source: ${goQuote(source)}, propagation: ${goQuote(asked)}`,
  );
}

const declaredVolume = (destination: string, driver: string): MountRecord => ({
  type: "volume",
  name: "",
  source: "",
  destination,
  driver,
  mode: "",
  rw: true,
  propagation: "",
  isAnonymous: true,
  copyUp: true,
  spec: null,
});

/** The volume of a plan, made when there is none of its name. */
async function makeVolume(context: MountsContext, id: Id, planned: MountRecord): Promise<MountRecord> {
  const options = planned.spec?.VolumeOptions ?? null;
  const volume = await context.volumes.ensure(
    {
      name: planned.name,
      driver: planned.driver,
      labels: options?.Labels ?? null,
      options: options?.DriverConfig?.Options ?? null,
    },
    id,
  );
  // "z" is what moby shows for volumes that were asked for; those of images show nothing.
  const mode = planned.spec !== null && planned.mode === "" ? "z" : planned.mode;
  return { ...planned, name: volume.name, source: volume.mountpoint, driver: volume.driver, mode };
}
