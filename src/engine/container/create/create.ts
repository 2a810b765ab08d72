/**
 * The order of a create: check everything, hold the name, make the volumes and the snapshot, write the row. The row comes last:
 * a daemon that dies before it leaves a snapshot that nobody knows, and the next start removes that.
 */
import { mkdir, rm } from "node:fs/promises";
import type { HostConfig } from "#api-schema/container-config";
import { formatTime, zeroTime } from "#base/clock";
import { type Id, newId } from "#base/ids";
import type { ContainerRecord, ContainerState } from "#storage";
import type { ImageForRun } from "../../image/service.ts";
import { resolveLinks } from "../../network/links/legacy-links.ts";
import { Container } from "../container.ts";
import { emitContainerEvent } from "../container-events.ts";
import type { ContainerContext } from "../context.ts";
import type { CreateOptions } from "../options.ts";
import { containerDirectory } from "../paths.ts";
import { resolveMounts } from "./mounts.ts";
import { reserveRandomName } from "./names.ts";
import { checkNamed, type PreparedCreate, prepareCreate } from "./prepare.ts";

export interface CreateAnswer {
  readonly Id: string;
  readonly Warnings: string[];
}

export async function createContainer(context: ContainerContext, options: CreateOptions): Promise<CreateAnswer> {
  const prepared = await prepareCreate(options, {
    host: context.host,
    defaults: context.defaults,
    foreign: context.storage.foreign,
    checkNetworking: (networkingConfig) => context.networks.validateCreate(networkingConfig),
    findImage: (reference, platform) => context.images.get(reference, platform),
    findContainer: (reference) => context.index.find(reference)?.record,
  });
  const id = newId();
  const name = holdName(context, options.name, id);
  try {
    const Links = resolveLinks(prepared.hostConfig, (reference) => context.index.find(reference)?.record);
    checkNamed(prepared.hostConfig);
    const hostConfig = { ...prepared.hostConfig, Links };
    const container = await build(context, {
      id,
      name,
      prepared: { ...prepared, hostConfig },
      isReadOnlyNonRecursive: options.isReadOnlyNonRecursive ?? false,
      asked: options.request.HostConfig,
    });
    emitContainerEvent(context, container, "create");
  } finally {
    context.index.release(name);
  }
  return { Id: id, Warnings: prepared.warnings };
}

function holdName(context: ContainerContext, wanted: string, id: Id): string {
  if (wanted === "") return reserveRandomName(context.index, id);
  const name = wanted.replace(/^\//, "");
  context.index.reserve(name, id, wanted);
  return name;
}

interface Plan {
  readonly id: Id;
  readonly name: string;
  readonly prepared: PreparedCreate<ImageForRun>;
  readonly isReadOnlyNonRecursive: boolean;
  readonly asked: HostConfig | null;
}

async function build(context: ContainerContext, plan: Plan): Promise<Container> {
  await using undo = new AsyncDisposableStack();
  const { id, prepared, isReadOnlyNonRecursive } = plan;
  const { image, config, hostConfig } = prepared;
  using _ = image === undefined ? undefined : context.index.draft(id, image.id);
  const directory = containerDirectory(context.defaults, id);

  await context.storage.snapshots.prepare(id, image?.chainId);
  undo.defer(() => void context.storage.snapshots.remove(id));
  await mkdir(directory, { recursive: true, mode: 0o710 });
  undo.defer(() => rm(directory, { recursive: true, force: true }));

  const container = new Container(recordOf(context, plan));
  const { record } = container;
  undo.defer(() => emitContainerEvent(context, container, "destroy"));
  record.mounts = await resolveMounts(context, { id, config, hostConfig, isReadOnlyNonRecursive });
  undo.defer(() => context.volumes.discard(id, record.mounts));
  await context.volumes.copyUp(record);

  context.index.insert(container);
  undo.move();
  return container;
}

function recordOf(context: ContainerContext, plan: Plan): ContainerRecord {
  const { id, name, prepared, asked } = plan;
  const { config } = prepared;
  const hostConfig = { ...prepared.hostConfig, Runtime: asked?.Runtime || context.defaults.shownRuntime };
  return {
    id,
    name,
    created: formatTime(context.clock.now()),
    path: prepared.path,
    args: prepared.args,
    imageId: prepared.image?.id ?? null,
    config:
      config.Hostname === "" && hostConfig.NetworkMode !== "host" ? { ...config, Hostname: id.slice(0, 12) } : config,
    runtime: asked?.Runtime || context.defaults.defaultRuntime,
    hostConfig,
    mounts: [],
    networks: config.NetworkDisabled
      ? {}
      : context.networks.initialNetworks(hostConfig.NetworkMode, prepared.networkingConfig),
    ports: {},
    sandboxId: "",
    sandboxKey: "",
    state: newState(),
  };
}

const newState = (): ContainerState => ({
  status: "created",
  pid: 0,
  exitCode: 0,
  error: "",
  startedAt: zeroTime,
  finishedAt: zeroTime,
  oomKilled: false,
  restartCount: 0,
  hasBeenManuallyStopped: false,
  hasRun: false,
  health: null,
});
