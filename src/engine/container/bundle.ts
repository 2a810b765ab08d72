import { chmod, chown, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { EngineError, messageOf } from "#base/errors";
import type { Id } from "#base/ids";
import { type LogConfig, type ShimConfig, writeBundle } from "#runtime";
import type { ContainerRecord } from "#storage";
import { shimLogConfig } from "../log/shim-config.ts";
import type { Sandbox } from "../network/service.ts";
import { buildSpec, unmountSharedMemory } from "../spec/index.ts";
import { remapOf, type UserRemap } from "../user-remap.ts";
import type { Container } from "./container.ts";
import type { ContainerContext, RuntimeEntry } from "./context.ts";
import { readUserFiles } from "./files/user-files.ts";
import { bundleDirectory, containerDirectory, shimSocket } from "./paths.ts";

export interface Bundle {
  readonly directory: string;
  readonly socket: string;
}

/** Writes config.json and shim.json for one run. */
export async function prepareBundle(
  context: ContainerContext,
  container: Container,
  sandbox: Sandbox,
): Promise<Bundle> {
  const { record } = container;
  const { defaults } = context;
  const remap = remapOf(record.hostConfig, defaults.userRemap);
  const directory = bundleDirectory(defaults, record.id);
  const spec = await buildSpec({
    ...defaults.spec,
    container: record,
    sandbox,
    readFile: await readUserFiles(context, container),
    host: context.host,
    findContainer: (reference) => context.index.find(reference)?.record,
    mounts: await context.volumes.resolve(record),
    bundleOf: (id) => bundleDirectory(defaults, id),
    userRemap: remap,
  });
  const log = await openLogOf(context, container);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeBundle(directory, { spec, shim: shimConfig(context, container, { log, remap }) });
  // The runtime goes to the root as the container's root.
  if (remap !== undefined) await Promise.all([chown(directory, 0, remap.root.gid), chmod(directory, 0o710)]);
  return { directory, socket: shimSocket(defaults, record.id) };
}

/** After a run, or to undo a start. */
export async function releaseSharedMemory(context: ContainerContext, record: ContainerRecord): Promise<void> {
  if (record.hostConfig.IpcMode !== "shareable") return;
  await unmountSharedMemory(record.id, (id) => bundleDirectory(context.defaults, id));
}

function shimConfig(
  context: ContainerContext,
  container: Container,
  { log, remap }: { readonly log: LogConfig; readonly remap: UserRemap | undefined },
): ShimConfig {
  const { record } = container;
  const { config, hostConfig } = record;
  const runtime = runtimeOf(context, record.runtime);
  const [height = 0, width = 0] = hostConfig.ConsoleSize ?? [];
  return {
    id: record.id,
    runtime: {
      path: runtime.path,
      args: [...runtime.args, "--root", `${context.defaults.execRoot}/${record.runtime}`],
    },
    rootfs: rootfsOf(context, record.id, remap),
    terminal: config.Tty,
    ...(config.Tty && height > 0 && width > 0 ? { consoleSize: [height, width] as const } : {}),
    stdin: stdinMode(config.OpenStdin, config.StdinOnce),
    log,
  };
}

function rootfsOf({ storage }: ContainerContext, id: Id, remap: UserRemap | undefined): ShimConfig["rootfs"] {
  if (remap === undefined) return storage.snapshots.overlay(id);
  return { ...storage.snapshots.overlay(id, { isMapped: true }), owner: remap.root };
}

function stdinMode(isOpen: boolean, isOnce: boolean): ShimConfig["stdin"] {
  if (!isOpen) return "none";
  return isOnce ? "once" : "open";
}

function runtimeOf(context: ContainerContext, name: string): RuntimeEntry {
  const runtime = context.defaults.runtimes[name];
  if (runtime === undefined) throw new EngineError("invalidParameter", `unknown or invalid runtime name: ${name}`);
  return runtime;
}

/** And the folder that the log is in. */
async function openLogOf(context: ContainerContext, { record }: Container): Promise<LogConfig> {
  let log: LogConfig;
  try {
    log = shimLogConfig(record, containerDirectory(context.defaults, record.id));
  } catch (cause) {
    const words = "failed to create task for container: failed to initialize logging driver";
    throw new EngineError("system", `${words}: ${messageOf(cause)}`, { cause });
  }
  if (log.path !== undefined) await mkdir(dirname(log.path), { recursive: true, mode: 0o700 });
  return log;
}
