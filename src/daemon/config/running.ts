import { messageOf } from "#base/errors";
import type { DaemonConfig } from "./config.ts";
import type { Settings } from "./file.ts";
import { validateSettings } from "./validate.ts";

/** The configuration as it is now. */
export interface Configuration {
  readonly config: DaemonConfig;
  /** Reads daemon.json again: what it would be now. Throws one error, ready to be printed. */
  readonly reread: () => Configuration;
}

export function configurationOf(
  settings: Settings,
  change: (running: Settings) => Settings,
  toConfig: (settings: Settings) => DaemonConfig,
): Configuration {
  return {
    config: toConfig(settings),
    reread: () => configurationOf(change(settings), change, toConfig),
  };
}

/** Those that keep their value when the file does not name them any more (moby daemon/reload.go). */
const keptKeys = [
  ...["default-runtime", "runtimes", "default-shm-size", "default-cgroupns-mode", "default-ipc-mode", "debug"],
  ...["shutdown-timeout", "labels", "insecure-registries", "registry-mirrors", "live-restore"],
  "authorization-plugins",
];
/** Those that fall back to the command line, or to what Docker does by default. */
const resetKeys = ["max-concurrent-downloads", "max-concurrent-uploads", "max-download-attempts", "features"];

/** The running settings, changed by what the file says now; `flags` are what the command line says. */
export function reloaded(running: Settings, file: Settings, flags: Settings): Settings {
  const fixed = [...running].filter(([key]) => !resetKeys.includes(key));
  const reset = [...flags, ...file].filter(([key]) => resetKeys.includes(key));
  const changed = [...file].filter(([key]) => keptKeys.includes(key));
  const settings = new Map([...fixed, ...reset, ...changed]);
  try {
    validateSettings(settings);
  } catch (error) {
    throw new Error(`file configuration validation failed: ${messageOf(error)}`, { cause: error });
  }
  return settings;
}
