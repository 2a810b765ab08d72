import type { ContainerConfig, HostConfig } from "#api-schema/container-config";
import type { EndpointSettings, PortMap } from "#api-schema/network-settings";
import type { Digest, Id } from "#base/ids";

export type ContainerStatus = "created" | "running" | "paused" | "restarting" | "exited" | "removing" | "dead";

/** Times are RFC 3339 with nanoseconds; Go's zero time where it has not happened. */
export interface ContainerState {
  status: ContainerStatus;
  pid: number;
  exitCode: number;
  error: string;
  startedAt: string;
  finishedAt: string;
  oomKilled: boolean;
  restartCount: number;
  /** `docker stop` was the last word: `unless-stopped` does not bring it back. */
  hasBeenManuallyStopped: boolean;
  /** Has been started at least once. */
  hasRun: boolean;
  /** The files in /etc and the log have been made, if only for a start that failed. Absent in records of before. */
  hasFiles?: boolean;
  health: HealthState | null;
}

export interface HealthState {
  status: "none" | "starting" | "healthy" | "unhealthy";
  failingStreak: number;
  log: { start: string; end: string; exitCode: number; output: string }[];
}

/** What stands in HostConfig.Binds, .Mounts, .Tmpfs, .VolumesFrom and the image's VOLUMEs, resolved once at create. */
export interface MountRecord {
  type: "bind" | "volume" | "tmpfs" | "image";
  /** Volume name; empty for others. */
  name: string;
  /** Host path of a bind or volume; empty for tmpfs. */
  source: string;
  destination: string;
  driver: string;
  /** As the user wrote it ("ro", "z", ""). */
  mode: string;
  rw: boolean;
  /** Of a read-only bind: what is mounted below its source stays as it is. */
  isReadOnlyNonRecursive?: boolean;
  propagation: string;
  /** An anonymous volume goes with its container when `rm -v` or `--rm` says so. */
  isAnonymous: boolean;
  copyUp: boolean;
  /** The HostConfig.Mounts entry it came from, for the options that only it has. */
  spec: import("#api-schema/mount").Mount | null;
}

/** The row of a container: all of it is kept as one JSON document beside the columns that are searched. */
export interface ContainerRecord {
  readonly id: Id;
  /** Without the leading slash. */
  name: string;
  /** RFC 3339 with nanoseconds. */
  readonly created: string;
  readonly path: string;
  readonly args: string[];
  /** The image's id (digest of its config); null when it was made from nothing. */
  readonly imageId: Digest | null;
  config: ContainerConfig;
  /** The OCI runtime that starts it: a key of the daemon's runtimes. `hostConfig.Runtime` is what clients see. */
  readonly runtime: string;
  hostConfig: HostConfig;
  /** The resources in `hostConfig` may not have reached the running processes. */
  isUpdating?: boolean;
  mounts: MountRecord[];
  /** Network name → what was asked for, and while running what is. */
  networks: Record<string, EndpointSettings>;
  /** Published ports as they are while running. */
  ports: PortMap;
  sandboxId: string;
  /** Path of the network namespace while running; empty with `--network host`. */
  sandboxKey: string;
  state: ContainerState;
}
