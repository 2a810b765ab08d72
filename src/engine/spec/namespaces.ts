/** Which namespaces a container gets and which it joins (moby oci_linux.go, WithNamespaces). */
import type { HostConfig } from "#api-schema/container-config";
import { EngineError } from "#base/errors";
import type { Namespace } from "#runtime";
import type { ContainerRecord } from "#storage";
import { containerOf } from "./modes.ts";

/** Paths of what others own; undefined where the mode does not ask for it. */
export interface JoinedNamespaces {
  readonly network: string | undefined;
  readonly ipc: string | undefined;
  readonly pid: string | undefined;
}

export type FindContainer = (reference: string) => ContainerRecord | undefined;

export function namespacesOf(
  { config, hostConfig }: Pick<ContainerRecord, "config" | "hostConfig">,
  joined: JoinedNamespaces,
): Namespace[] {
  const own = (type: Namespace["type"]): Namespace[] => [{ type }];
  const join = (type: Namespace["type"], path: string | undefined, mode: string): Namespace[] => {
    if (mode === "host") return [];
    return [path === undefined ? { type } : { type, path }];
  };
  return [
    ...own("mount"),
    ...join("network", joined.network, config.NetworkDisabled ? "none" : hostConfig.NetworkMode),
    ...(hostConfig.UTSMode === "host" ? [] : own("uts")),
    ...join("pid", joined.pid, hostConfig.PidMode),
    ...join("ipc", joined.ipc, hostConfig.IpcMode),
    ...(hostConfig.CgroupnsMode === "private" ? own("cgroup") : []),
  ];
}

/** `--ipc container:x` and `--pid container:x` need x to run now; throws dockerd's words when it does not. */
export function joinedNamespaces(
  hostConfig: HostConfig,
  network: string | undefined,
  find: FindContainer,
): JoinedNamespaces {
  const ipcDonor = containerOf(hostConfig.IpcMode);
  const pidDonor = containerOf(hostConfig.PidMode);
  return {
    network,
    ipc: ipcDonor === undefined ? undefined : `/proc/${ipcContainer(ipcDonor, find).state.pid}/ns/ipc`,
    pid: pidDonor === undefined ? undefined : `/proc/${runningDonor(pidDonor, "PID", find).state.pid}/ns/pid`,
  };
}

/** The donor of an IPC namespace shares its /dev/shm too, so it must have one outside its own mount namespace. */
export function ipcContainer(reference: string, find: FindContainer): ContainerRecord {
  const donor = runningDonor(reference, "IPC", find);
  const isShareable = donor.hostConfig.IpcMode === "shareable" || donor.hostConfig.IpcMode === "host";
  if (isShareable || containerOf(donor.hostConfig.IpcMode) !== undefined) return donor;
  const hint = "non-shareable IPC (hint: use IpcMode:shareable for the donor container)";
  throw new EngineError("invalidParameter", `failed to join IPC namespace: container ${reference}: ${hint}`);
}

function runningDonor(reference: string, kind: "IPC" | "PID", find: FindContainer): ContainerRecord {
  // moby lets the reason decide for IPC only; a PID namespace that cannot be joined is its own failure.
  const failed = (problem: "invalidParameter" | "conflict", text: string): EngineError =>
    new EngineError(kind === "IPC" ? problem : "system", `failed to join ${kind} namespace: ${text}`);
  const donor = find(reference);
  if (donor === undefined) throw failed("invalidParameter", `No such container: ${reference}`);
  const { status } = donor.state;
  if (status === "restarting") {
    throw failed("conflict", `Container ${reference} is restarting, wait until the container is running`);
  }
  if (status !== "running" && status !== "paused") {
    throw failed("conflict", `container ${reference} is not running`);
  }
  return donor;
}
