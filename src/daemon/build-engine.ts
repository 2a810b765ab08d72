import { systemClock } from "#base/clock";
import { Locks } from "#base/locks";
import type { Log } from "#base/log";
import {
  type ContainerContext,
  ContainerIndex,
  ContainerService,
  checkLogDefaults,
  containersUsing,
  detectHost,
  type Engine,
  Events,
  ExecService,
  ImageService,
  LogCompressor,
  LogReaders,
  openNetworkService,
  SystemService,
  VolumeService,
} from "#engine";
import { Registry } from "#registry";
import { RuntimeFeatures, type Spawner } from "#runtime";
import type { Storage, VolumeRecord } from "#storage";
import type { DaemonConfig } from "./config/config.ts";
import {
  blobWatermark,
  containerDefaults,
  engineVersion,
  networkConfig,
  registryOptions,
  systemFacts,
  transferLimits,
} from "./defaults.ts";
import { type EngineIdentity, engineIdentity } from "./identity.ts";
import { relayProcess } from "./relay-process.ts";
import { userRemapOf } from "./remap-users.ts";

export interface Foundations {
  readonly spawner: Spawner;
  readonly storage: Storage;
  readonly log: Log;
}

/** The engine, and what else a reload of the configuration reaches. */
export interface EngineParts {
  readonly engine: Engine;
  readonly context: ContainerContext;
  readonly registry: Registry;
  readonly identity: EngineIdentity;
}

/** The services, each from what it needs. */
export async function buildEngine(config: DaemonConfig, { spawner, storage, log }: Foundations): Promise<EngineParts> {
  checkLogDefaults({ driver: config.logDriver, options: config.logOptions });
  const clock = systemClock;
  const events = new Events(clock);
  const locks = new Locks();
  const host = detectHost();
  const index = new ContainerIndex(storage.records.containers, log);
  const records = index.list().map((container) => container.record);
  const { dataRoot, execRoot } = config;
  const userRemap = userRemapOf(config);

  const registry = new Registry({
    options: registryOptions(config),
    userAgent: `docker/${engineVersion} minidock`,
    clock,
    log,
  });
  const images = new ImageService({
    storage,
    registry,
    events,
    usage: { containersUsing: (id) => containersUsing(index, id) },
    clock,
    log,
    engineVersion,
    limits: transferLimits(config),
    blobs: { directory: dataRoot, watermarkPercent: blobWatermark(config) },
  });
  const volumes = await VolumeService.open(
    {
      dataRoot,
      execRoot,
      records: storage.records.documents<VolumeRecord>("volume"),
      storage,
      events,
      clock,
      userRemap,
    },
    records,
  );
  const networks = await openNetworkService({
    storage,
    dataRoot,
    execRoot,
    config: networkConfig(config),
    containers: {
      find: (reference) => index.find(reference)?.record,
      get: (reference) => index.get(reference).record,
      save: (record) => index.save(index.get(record.id)),
    },
    events,
    locks,
    clock,
    log,
    relay: relayProcess(spawner),
    userRemap,
    makeNamespaces: (request) => spawner.makeNamespaces(request),
  });
  const context: ContainerContext = {
    index,
    logCompressor: new LogCompressor(log),
    logReaders: new LogReaders(),
    storage,
    images,
    networks,
    volumes,
    spawner,
    execs: new Map(),
    events,
    locks,
    clock,
    log,
    host,
    defaults: await containerDefaults(config),
    isShuttingDown: false,
  };
  const containers = new ContainerService(context);
  const identity = await engineIdentity(dataRoot);
  const facts = systemFacts(config, identity);
  const features = new RuntimeFeatures(Object.values(facts.runtimes).map(({ path }) => path));
  const system = new SystemService({ index, containers, images, volumes, events, host, registry, features, facts });
  const engine: Engine = { containers, execs: new ExecService(context), images, networks, volumes, system, events };
  return { engine, context, registry, identity };
}
