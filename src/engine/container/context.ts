import type { Clock } from "#base/clock";
import type { Locks } from "#base/locks";
import type { Log } from "#base/log";
import type { Spawner } from "#runtime";
import type { Storage } from "#storage";
import type { Events } from "../events.ts";
import type { Exec } from "../exec/exec.ts";
import type { ImageService } from "../image/service.ts";
import type { LogCompressor } from "../log/compressor.ts";
import type { LogReaders } from "../log/reader.ts";
import type { NetworkService } from "../network/service.ts";
import type { HostInfo, SpecDefaults } from "../spec/index.ts";
import type { UserRemap } from "../user-remap.ts";
import type { VolumeService } from "../volume/service.ts";
import type { ContainerIndex } from "./container-index.ts";

/** A runtime as `--add-runtime` and `--default-runtime` name it. */
export interface RuntimeEntry {
  readonly path: string;
  /** Before the command; `--root` is added by the engine. */
  readonly args: readonly string[];
}

/** What the daemon's configuration decides for containers. */
export interface ContainerDefaults {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly runtimes: Readonly<Record<string, RuntimeEntry>>;
  readonly defaultRuntime: string;
  /** `HostConfig.Runtime` of a container that asked for none: "runc", for which our launcher stands in. */
  readonly shownRuntime: string;
  readonly logDriver: string;
  readonly logOptions: Readonly<Record<string, string>>;
  readonly spec: SpecDefaults;
  /** "" for the host's default: "host" on cgroup v1, "private" on v2. */
  readonly cgroupnsMode: "" | "host" | "private";
  readonly ipcMode: "private" | "shareable";
  readonly shmSizeBytes: number;
  readonly isExperimental: boolean;
  readonly stopTimeoutSeconds: number;
  readonly userRemap: UserRemap | undefined;
}

/** Everything that the verbs in this folder work with. Built once, in `daemon/main.ts`. */
export interface ContainerContext {
  readonly index: ContainerIndex;
  readonly logCompressor: LogCompressor;
  readonly logReaders: LogReaders;
  readonly storage: Storage;
  readonly images: ImageService;
  readonly networks: NetworkService;
  readonly volumes: VolumeService;
  readonly spawner: Spawner;
  /** Every exec of every container, by id. */
  readonly execs: Map<string, Exec>;
  readonly events: Events;
  readonly locks: Locks;
  readonly clock: Clock;
  readonly log: Log;
  readonly host: HostInfo;
  /** A reload of the configuration puts others in their place. */
  defaults: ContainerDefaults;
  /** Set while the daemon goes down: exits are recorded, nothing is restarted or auto-removed. */
  isShuttingDown: boolean;
}
