/** The engine's door: the services that `src/api` calls and `src/daemon` builds. */
import type { ContainerService } from "./container/service.ts";
import type { Events } from "./events.ts";
import type { ExecService } from "./exec/service.ts";
import type { ImageService } from "./image/service.ts";
import type { NetworkService } from "./network/service.ts";
import type { SystemService } from "./system/service.ts";
import type { VolumeService } from "./volume/service.ts";

/** How the Engine API writes references, platforms and credentials; routes read them before any service sees them. */
export {
  type Access,
  checkDigest,
  credentialsOf,
  type Platform,
  parseCredentials,
  parsePlatform,
  parseReference,
  parseRepoTag,
  type Reference,
  trimReference,
  withDigest,
  withTag,
} from "#registry";
export { Container } from "./container/container.ts";
export { ContainerIndex, containersUsing } from "./container/container-index.ts";
export type { ContainerContext, ContainerDefaults, RuntimeEntry } from "./container/context.ts";
export { autoRemove, handleExit, lostExit, releaseRun, restart, watchTask } from "./container/exit.ts";
export { watchHealth } from "./container/health.ts";
export { needsOf } from "./container/needs.ts";
export type * from "./container/options.ts";
export { bundleDirectory, containerDirectory, shimSocket } from "./container/paths.ts";
export { shouldRestart } from "./container/restart-policy.ts";
export { ContainerService } from "./container/service.ts";
export { startContainer } from "./container/start.ts";
export { stopContainer } from "./container/stop.ts";
export { finishUpdate } from "./container/update.ts";
export { Events, type EventType, type WatchOptions } from "./events.ts";
export type { Exec, ExecConfig } from "./exec/exec.ts";
export { ExecService, type ExecStartOptions } from "./exec/service.ts";
export { Filters, invalidFilter } from "./filters.ts";
export type { TransferLimits } from "./image/parts.ts";
export { ImageService } from "./image/service.ts";
export { LogCompressor } from "./log/compressor.ts";
export { checkLogDefaults } from "./log/options.ts";
export { LogReaders } from "./log/reader.ts";
export type { DefaultBridgeConfig } from "./network/context.ts";
export type { NetworkService } from "./network/service.ts";
export { type NetworkServiceOptions, openNetworkService } from "./network/service.ts";
export { detectHost, type HostInfo } from "./spec/index.ts";
export { type SystemFacts, SystemService } from "./system/service.ts";
export type { UserRemap } from "./user-remap.ts";
export { VolumeService } from "./volume/service.ts";

/** All services; each route uses the one of its area. */
export interface Engine {
  readonly containers: ContainerService;
  readonly execs: ExecService;
  readonly images: ImageService;
  readonly networks: NetworkService;
  readonly volumes: VolumeService;
  readonly system: SystemService;
  readonly events: Events;
}
