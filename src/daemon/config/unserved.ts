import { existsSync } from "node:fs";
import type { Log } from "#base/log";
import type { DaemonConfig } from "./config.ts";

/**
 * Options of dockerd's that this engine does not serve. What somebody relies on for the safety of the host stops the start: an engine
 * that ran without it would be a lie. The rest is said in the log.
 */
export function refuseUnserved(config: DaemonConfig, log: Log): void {
  refusePlugins(config);
  if (config.isSelinuxEnabled) {
    if (existsSync("/sys/fs/selinux/enforce")) throw new Error("--selinux-enabled is not supported");
    log.warn("Docker could not enable SELinux on the host system");
  }
  if (config.execOptions.some((option) => /=\s*systemd\s*$/.test(option))) {
    throw new Error("--exec-opt native.cgroupdriver=systemd is not supported: cgroups are made by cgroupfs");
  }
  const [storageOption] = config.storageOptions
    .map((option) => option.split("=", 1).join("").trim().toLowerCase())
    .filter((name) => name !== "blobs.watermark");
  if (storageOption === "overlay2.size") throw new Error("--storage-opt overlay2.size is not supported: no quotas");
  if (storageOption !== undefined) throw new Error(`overlay2: unknown option ${storageOption}`);
  if (!["", "overlay2"].includes(config.storageDriver)) {
    log.warn({ asked: config.storageDriver }, "the storage driver is overlay2 all the same");
  }
  if (config.ignored.length > 0) log.warn({ options: config.ignored }, "options that mean nothing to this engine");
}

export function refusePlugins({ authorizationPlugins: [plugin] }: DaemonConfig): void {
  if (plugin !== undefined) throw new Error(`failed to validate authorization plugin: plugin "${plugin}" not found`);
}
