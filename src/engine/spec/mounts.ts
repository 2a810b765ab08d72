/** The mounts of a container in the order they are made (moby oci_linux.go, withMounts). */
import type { HostConfig } from "#api-schema/container-config";
import type { IdMappings } from "#base/id-mappings";
import type { Mount } from "#runtime";
import type { HostInfo } from "./host-info.ts";
import { mergeTmpfsOptions } from "./tmpfs-options.ts";

/** One mount of the user's, of a volume or of the engine's own files, with everything about it resolved. */
export type ResolvedMount =
  | {
      readonly type: "bind";
      readonly source: string;
      readonly destination: string;
      readonly isWritable: boolean;
      /** "" leaves it to the runtime, as for volumes. */
      readonly propagation: string;
      /** Nobody asked for this propagation: where the host cannot give it, the mount is made all the same. */
      readonly isPropagationImplied?: boolean;
      /** Without what is mounted below the source. */
      readonly isNonRecursive?: boolean;
      readonly isReadOnlyNonRecursive?: boolean;
      readonly isReadOnlyForceRecursive?: boolean;
      /** Whose files the container sees as whose. */
      readonly idMappings?: IdMappings | undefined;
    }
  | { readonly type: "tmpfs"; readonly destination: string; readonly options: string };

const inherited = ["nosuid", "noexec", "nodev"];

/** Every container's own file systems. The runtime fills /dev with the default nodes. */
const defaultMounts: readonly Required<Pick<Mount, "destination" | "type" | "source" | "options">>[] = [
  { destination: "/proc", type: "proc", source: "proc", options: inherited },
  {
    destination: "/dev",
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
  },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
  },
  { destination: "/sys", type: "sysfs", source: "sysfs", options: [...inherited, "ro"] },
  { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro", ...inherited] },
  { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: inherited },
  { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...inherited, "mode=1777"] },
];

export interface MountChoices {
  readonly hostConfig: HostConfig;
  readonly mounts: readonly ResolvedMount[];
  /** Of CDI devices: like the default ones, but for one at the same place. */
  readonly injected: readonly SpecMount[];
  readonly areCgroupsWritable: boolean;
  readonly host: Pick<HostInfo, "hasRecursiveReadOnly">;
}

export function mountsOf(choices: MountChoices): Mount[] {
  const { hostConfig, host } = choices;
  const own = byDepth(choices.mounts);
  const taken = new Set(own.map((mount) => mount.destination));
  const mounts = [
    ...withInjected(choices.injected).filter((mount) => !isReplaced(mount.destination, taken, hostConfig.IpcMode)),
    ...own.map((mount) => (mount.type === "tmpfs" ? tmpfsMount(mount) : bindMount(mount, host))),
  ];
  for (const mount of mounts) {
    if (mount.destination === "/dev/shm" && !taken.has("/dev/shm")) mount.options.push(`size=${hostConfig.ShmSize}`);
    if (hostConfig.ReadonlyRootfs && !taken.has(mount.destination)) makeReadOnly(mount);
    const isOpened =
      (hostConfig.Privileged && mount.destination === "/sys") ||
      (choices.areCgroupsWritable && mount.type === "cgroup");
    if (isOpened) mount.options = mount.options.filter((option) => option !== "ro");
  }
  return mounts;
}

function withInjected(injected: readonly SpecMount[]): SpecMount[] {
  const taken = new Set(injected.map(({ destination }) => destination));
  const mounts = [...defaultMounts.filter(({ destination }) => !taken.has(destination)), ...injected];
  return (injected.length === 0 ? mounts : byDepth(mounts)).map(ownCopy);
}

/** Parents first, so that /etc does not cover /etc/hosts; what is equally deep keeps its order. */
const byDepth = <T extends { readonly destination: string }>(mounts: readonly T[]): T[] =>
  mounts.toSorted((a, b) => depthOf(a.destination) - depthOf(b.destination));

const depthOf = (path: string): number => path.split("/").length;

function isReplaced(destination: string, taken: ReadonlySet<string>, ipcMode: string): boolean {
  if (taken.has(destination)) return true;
  if (destination === "/dev/shm" && ipcMode === "none") return true;
  return taken.has("/dev") && destination.startsWith("/dev/");
}

type SpecMount = Mount & { options: string[] };

const ownCopy = (mount: SpecMount): SpecMount => ({ ...mount, options: [...mount.options] });

/** What processes must be able to write whatever the root is. */
const alwaysWritable = new Set(["/proc", "/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"]);

function makeReadOnly(mount: SpecMount): void {
  if (!alwaysWritable.has(mount.destination) && !mount.options.includes("ro")) mount.options.push("ro");
}

function tmpfsMount(mount: ResolvedMount & { type: "tmpfs" }): SpecMount {
  const given = mount.options === "" ? [] : mount.options.split(",");
  const options = mergeTmpfsOptions(["noexec", "nosuid", "nodev", "rprivate", ...given]);
  return { destination: mount.destination, type: "tmpfs", source: "tmpfs", options };
}

function bindMount(mount: ResolvedMount & { type: "bind" }, host: MountChoices["host"]): SpecMount {
  const { idMappings } = mount;
  return {
    destination: mount.destination,
    type: "bind",
    source: mount.source,
    options: [
      mount.isNonRecursive ? "bind" : "rbind",
      ...(mount.isWritable ? [] : [readOnlyOption(mount, host)]),
      ...(mount.propagation === "" ? [] : [mount.propagation]),
      ...(idMappings === undefined ? [] : ["idmap"]),
    ],
    ...(idMappings === undefined ? {} : { uidMappings: [...idMappings.uids], gidMappings: [...idMappings.gids] }),
  };
}

function readOnlyOption(mount: ResolvedMount & { type: "bind" }, host: MountChoices["host"]): "ro" | "rro" {
  if (mount.isReadOnlyNonRecursive) {
    if (mount.isReadOnlyForceRecursive) {
      throw new Error("mount options conflict: ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive");
    }
    return "ro";
  }
  if (host.hasRecursiveReadOnly) return "rro";
  if (mount.isReadOnlyForceRecursive) throw new Error("rro is not supported: the kernel is older than 5.12");
  return "ro";
}
