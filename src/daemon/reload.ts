import { hostname } from "node:os";
import type { LogLevel } from "#base/log";
import type { EngineParts } from "./build-engine.ts";
import type { DaemonConfig } from "./config/config.ts";
import { refusePlugins } from "./config/unserved.ts";
import { display } from "./config/values.ts";
import { containerDefaults, registryOptions, systemFacts, transferLimits } from "./defaults.ts";

/** What may change while containers run, changes, and is told; what fails, fails before anything changed (moby daemon/reload.go). */
export async function reloadEngine(parts: EngineParts, config: DaemonConfig): Promise<void> {
  const { engine, context, registry, identity } = parts;
  refusePlugins(config);
  const defaults = await containerDefaults(config);
  registry.configure(registryOptions(config));
  context.defaults = defaults;
  context.log.level = logLevelOf(config);
  engine.images.configure(transferLimits(config));
  engine.system.configure(systemFacts(config, identity));
  context.events.emit("daemon", "reload", identity.id, { ...attributesOf(config, parts), name: hostname() });
}

export const logLevelOf = ({ isDebug, logLevel }: DaemonConfig): LogLevel => (isDebug ? "debug" : logLevel);

/** As Go prints them. */
function attributesOf(config: DaemonConfig, { context: { defaults, host } }: EngineParts): Record<string, string> {
  const hostMode = host.cgroup.version === 2 ? "private" : "host";
  return {
    debug: String(config.isDebug),
    "default-cgroupns-mode": defaults.cgroupnsMode || hostMode,
    "default-ipc-mode": defaults.ipcMode,
    "default-runtime": defaults.shownRuntime,
    "default-shm-size": String(defaults.shmSizeBytes),
    features: display({ ...config.features }),
    "insecure-registries": JSON.stringify(config.insecureRegistries),
    labels: JSON.stringify(config.labels),
    "live-restore": String(config.isLiveRestoreEnabled),
    "max-concurrent-downloads": String(config.maxConcurrentDownloads),
    "max-concurrent-uploads": String(config.maxConcurrentUploads),
    "max-download-attempts": String(config.maxDownloadAttempts),
    "registry-mirrors": JSON.stringify(config.registryMirrors),
    runtimes: Object.entries(config.runtimes)
      .map(([name, { path }]) => `${name}:${path}`)
      .join(" "),
    "shutdown-timeout": String(config.shutdownTimeoutSeconds),
  };
}
