import { chown } from "node:fs/promises";
import type { ContainerRecord } from "#storage";
import type { NetworkFiles } from "../network/etc/files.ts";
import type { UserRemap } from "../user-remap.ts";
import type { ResolvedMount } from "./mounts.ts";

type MountingContainer = Pick<ContainerRecord, "hostConfig" | "mounts">;

/** The container finds its hosts, hostname and resolv.conf as root's. */
export async function giveFiles(files: NetworkFiles, remap: UserRemap | undefined): Promise<void> {
  if (remap === undefined) return;
  const { uid, gid } = remap.root;
  const given = [files.hosts, files.hostname, files.resolvConf].filter((path) => path !== "");
  await Promise.all(given.map((path) => chown(path, uid, gid)));
}

/** The user's mounts and what the engine adds to them. */
export const withEngineMounts = (
  container: MountingContainer,
  files: NetworkFiles,
  mounts: readonly ResolvedMount[],
): ResolvedMount[] => [...tmpfsMounts(container), ...mounts, ...networkFileMounts(container, files)];

/** HostConfig.Tmpfs; those of HostConfig.Mounts are among the container's mounts. */
function tmpfsMounts(container: MountingContainer): ResolvedMount[] {
  return Object.entries(container.hostConfig.Tmpfs ?? {}).map(([destination, options]) => ({
    type: "tmpfs",
    destination,
    options,
  }));
}

/** The engine's hosts, hostname and resolv.conf, unless the user brought one. */
function networkFileMounts(container: MountingContainer, files: NetworkFiles): ResolvedMount[] {
  const { hostConfig, mounts } = container;
  const wanted: readonly (readonly [destination: string, source: string])[] = [
    ["/etc/resolv.conf", files.resolvConf],
    ["/etc/hostname", files.hostname],
    ["/etc/hosts", files.hosts],
  ];
  return wanted
    .filter(([destination, source]) => source !== "" && !mounts.some((mount) => mount.destination === destination))
    .map(([destination, source]) => ({
      type: "bind",
      source,
      destination,
      isWritable: !hostConfig.ReadonlyRootfs,
      propagation: "rprivate",
    }));
}
