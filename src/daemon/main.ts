/**
 * The composition root: the only place that constructs services. The order of a start: the fork helper while the heap is small,
 * the database (which locks the data root), what still runs, the listeners; then what can wait.
 */
import { createServer } from "#api";
import { createLog } from "#base/log";
import { endsWithin } from "#base/within";
import { Spawner } from "#runtime";
import { openStorage } from "#storage";
import { buildEngine } from "./build-engine.ts";
import { removeCgroupParent } from "./cgroup-parent.ts";
import { useProxies, withoutCredentials } from "./config/proxies.ts";
import type { Configuration } from "./config/running.ts";
import { refuseUnserved } from "./config/unserved.ts";
import { engineVersion } from "./defaults.ts";
import { holdExecRoot } from "./exec-root.ts";
import { listenAddresses } from "./listeners.ts";
import { serveMetrics } from "./metrics.ts";
import { nativeBinary } from "./paths.ts";
import { holdPidfile } from "./pidfile.ts";
import { takeOver } from "./reconcile.ts";
import { logLevelOf, reloadEngine } from "./reload.ts";
import { holdRemappedIds, openDataRoot, withRemappedUsers } from "./remap-users.ts";
import { stopContainers } from "./shutdown.ts";
import { notifySystemd, takeActivatedSockets } from "./systemd.ts";

/** How long clients wait for containers that start with the daemon. */
const settlingMs = 5000;

/** A running engine; disposing it is `systemctl stop docker`. */
export interface Daemon extends AsyncDisposable {
  /** `systemctl reload docker`: the configuration file anew. One that cannot be used is logged, and changes nothing. */
  readonly reload: () => Promise<void>;
}

export async function startDaemon(configuration: Configuration): Promise<Daemon> {
  await using parts = new AsyncDisposableStack();
  const log = createLog(logLevelOf(configuration.config), configuration.config.logFormat);
  useProxies(configuration.config.proxies, process.env, log);
  refuseUnserved(configuration.config, log);
  const config = withRemappedUsers(configuration.config, { mayMakeUser: true });
  if (config.usernsRemap !== configuration.config.usernsRemap) {
    log.warn("User namespaces: root cannot be remapped with itself; user namespaces are OFF");
  }
  openDataRoot(config);
  let current = configuration;
  const addresses = await listenAddresses(config, takeActivatedSockets(process.env));
  parts.use(await holdPidfile(config.pidfile));
  const spawner = parts.use(
    await Spawner.start({ binary: nativeBinary("minispawn"), log, softFileLimit: startedWithFileLimit() }),
  );
  const execRoot = parts.use(await holdExecRoot(config.execRoot));
  const remapped = parts.use(await holdRemappedIds(config, spawner));
  const { dataRoot } = config;
  const storage = parts.use(
    await openStorage({ dataRoot, execRoot: config.execRoot, log, userNamespace: remapped?.userNamespace }),
  );

  const built = await buildEngine(config, { spawner, storage, log });
  const { engine, context } = built;
  parts.use(context.logCompressor);
  parts.use(engine.images.publishLayout());
  parts.defer(() => removeCgroupParent(config.cgroupParent));
  parts.defer(() => engine.networks.shutdown());
  parts.defer(async () => {
    await stopContainers(context, current.config);
    execRoot.isNeeded = context.index.list().some((container) => container.isRunning);
  });

  const settle = await takeOver(context);
  const settled = settle();
  // Who asks first finds what was to start again running, as with dockerd; a disk that does not answer keeps nobody waiting.
  await endsWithin(settlingMs, settled);
  const { minApiVersion, isExperimental } = config;
  const server = parts.use(await createServer({ engine, log, version: engineVersion, minApiVersion, isExperimental }));
  if (config.metricsAddress !== "") parts.use(await serveMetrics(config.metricsAddress, engine));
  for (const address of addresses) await server.listen(address);
  log.info({ hosts: config.hosts }, "API listen");
  notifySystemd(process.env, "READY=1");
  await settled;
  const running = parts.move();
  return {
    reload: async () => {
      try {
        const changed = current.reread();
        const { dataRoot, idMappings } = config;
        await reloadEngine(built, { ...changed.config, dataRoot, ...(idMappings && { idMappings }) });
        current = changed;
        const shown = { ...changed.config, proxies: withoutCredentials(changed.config.proxies) };
        log.info({ config: shown }, "Reloaded configuration");
      } catch (err) {
        log.error({ err }, "Error reloading configuration");
      }
    },
    [Symbol.asyncDispose]: () => {
      notifySystemd(process.env, "STOPPING=1");
      return running.disposeAsync();
    },
  };
}

/** What bin/minidockd found before Node raised it. */
function startedWithFileLimit(): number | undefined {
  const limit = Number(process.env.MINIDOCK_NOFILE);
  delete process.env.MINIDOCK_NOFILE;
  return Number.isSafeInteger(limit) && limit > 0 ? limit : undefined;
}
