import { systemClock } from "#base/clock";
import { Locks } from "#base/locks";
import type { Log } from "#base/log";
import {
  type ContainerContext,
  ContainerIndex,
  ContainerService,
  containersUsing,
  detectHost,
  type Engine,
  Events,
  ExecService,
  ImageService,
  openNetworkService,
  SystemService,
  VolumeService,
} from "#engine";
import { Registry } from "#registry";
import type { Spawner } from "#runtime";
import type { Storage, VolumeRecord } from "#storage";
import type { DaemonConfig } from "./config.ts";
import { blobWatermark, containerDefaults, engineVersion, networkConfig, systemFacts } from "./defaults.ts";
import { engineIdentity } from "./identity.ts";
import { nativeBinary } from "./paths.ts";

export interface Foundations {
  readonly spawner: Spawner;
  readonly storage: Storage;
  readonly log: Log;
}

/** The services, each from what it needs. */
export async function buildEngine(
  config: DaemonConfig,
  { spawner, storage, log }: Foundations,
): Promise<{ engine: Engine; context: ContainerContext }> {
  const clock = systemClock;
  const events = new Events(clock);
  const locks = new Locks();
  const host = detectHost();
  const index = new ContainerIndex(storage.records.containers);
  const records = index.list().map((container) => container.record);
  const { dataRoot, execRoot } = config;

  const images = new ImageService({
    storage,
    registry: new Registry({
      options: { insecureRegistries: config.insecureRegistries, mirrors: config.registryMirrors },
      userAgent: `docker/${engineVersion} minidock`,
      clock,
      log,
    }),
    events,
    usage: { containersUsing: (id) => containersUsing(index, id) },
    clock,
    log,
    engineVersion,
    limits: {
      concurrentDownloads: config.maxConcurrentDownloads,
      concurrentUploads: config.maxConcurrentUploads,
      downloadAttempts: config.maxDownloadAttempts,
    },
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
    launchRelay: (socket) => spawner.help(nativeBinary("minirelay"), socket),
  });
  const context: ContainerContext = {
    index,
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
  const facts = systemFacts(config, await engineIdentity(dataRoot));
  const system = new SystemService({ index, containers, images, volumes, events, host, facts });
  const engine: Engine = { containers, execs: new ExecService(context), images, networks, volumes, system, events };
  return { engine, context };
}
