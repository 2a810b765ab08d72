/** Starts and supervises the tasks of containers: bundles, shims (docs/shim-protocol.md), cgroup figures. */
export { appArmorParser, loadPolicy } from "./apparmor.ts";
export { readExitRecord, writeBundle } from "./bundle.ts";
export { type CgroupPaths, findCgroupPaths, listPids, readText } from "./cgroup.ts";
export { type BlkioEntry, type CgroupStats, type CpuStats, type MemoryStats, readStats } from "./cgroup-stats.ts";
export { RuntimeFeatures } from "./features.ts";
export type * from "./oci-spec.ts";
export { ProgramError, runAtStart } from "./run-at-start.ts";
export { RuntimeError } from "./runtime-error.ts";
export type { LogConfig, ShimConfig } from "./shim-config.ts";
export { type NamespacesRequest, Spawner } from "./spawner.ts";
export {
  type Attachment,
  type AttachOptions,
  type ExecExit,
  type ExecState,
  type ExitRecord,
  type StartedExec,
  Task,
  type TaskState,
  type TaskStatus,
} from "./task.ts";
