/** `docker ps` (moby daemon/list.go, container/view.go). */

import type { ContainerSummary } from "#api-schema/container-summary";
import type { EndpointSettings } from "#api-schema/network-settings";
import { EngineError } from "#base/errors";
import type { Digest } from "#base/ids";
import type { ContainerRecord, ImageRecord, MountRecord } from "#storage";
import { linkNamesOf } from "../../network/links/legacy-links.ts";
import type { Container } from "../container.ts";
import type { ContainerContext } from "../context.ts";
import { mountPointOf } from "../inspect.ts";
import { containerSizes } from "../inspect-sizes.ts";
import type { ListOptions } from "../options.ts";
import { type ListFilter, parseListFilters } from "./filters.ts";
import { portsOf } from "./ports.ts";
import { sortableTime, statusText, wholeSeconds } from "./status-text.ts";

export async function listContainers(context: ContainerContext, options: ListOptions): Promise<ContainerSummary[]> {
  const records = context.index.list().map((container) => container.record);
  // Most containers share a few images, and each look-up reads a whole image's configuration.
  const found = new Map<string, Digest | undefined>();
  const findImage = (reference: string): Digest | undefined => {
    if (!found.has(reference)) found.set(reference, context.images.find(reference)?.id);
    return found.get(reference);
  };
  const filter = parseListFilters(
    options.filters,
    records.map((record) => record.id),
    {
      getContainer: (reference) => context.index.get(reference).record,
      descendantsOf: (image) =>
        descendantsOf(
          unlessRefused(() => findImage(image)),
          context.storage.records.images.list(),
        ),
    },
  );
  const linkNames = linkNamesOf(records, (reference) => context.index.find(reference)?.record);
  const facts = { now: context.clock.now(), findImage, linkNames };
  const shown = selectRecords(records, filter, options).map((record) => ({
    record,
    summary: currentSummary(context.index.get(record.id), facts),
  }));
  if (!options.size) return shown.map(({ summary }) => summary);
  const sized: ContainerSummary[] = [];
  for (const { record, summary } of shown) {
    const { sizeRw, sizeRootFs } = await containerSizes(context.storage, record);
    sized.push({ ...summary, SizeRw: sizeRw, SizeRootFs: sizeRootFs });
  }
  return sized;
}

/** What no image can be called, none is called. */
function unlessRefused<T>(find: () => T): T | undefined {
  try {
    return find();
  } catch (error) {
    if (error instanceof EngineError) return undefined;
    throw error;
  }
}

/** The youngest first. `limit` asks for containers that do not run as well. */
export function selectRecords(
  records: readonly ContainerRecord[],
  filter: ListFilter,
  options: Pick<ListOptions, "all" | "limit">,
): ContainerRecord[] {
  const byAge = records
    .map((record) => ({ record, created: sortableTime(record.created) }))
    .sort((a, b) => (a.created === b.created ? 0 : a.created < b.created ? 1 : -1))
    .map(({ record }) => record);
  const positionOf = (id: string): number => byAge.findIndex((record) => record.id === id);
  const start = filter.before === undefined ? 0 : positionOf(filter.before) + 1;
  const end = filter.since === undefined ? byAge.length : positionOf(filter.since);
  const showsAll = options.all || options.limit > 0 || filter.includesStopped;
  const found = byAge
    .slice(start, Math.max(start, end))
    .filter((record) => (showsAll || isRunning(record)) && filter.matches(record));
  return options.limit > 0 ? found.slice(0, options.limit) : found;
}

const isRunning = ({ state }: ContainerRecord): boolean => ["running", "paused", "restarting"].includes(state.status);

/** An image and all that were built on it on this engine. */
export function descendantsOf(id: Digest | undefined, images: readonly ImageRecord[]): ReadonlySet<string> {
  if (id === undefined) return new Set();
  const found = new Set<string>([id]);
  // A parent may come after its child, so go on until nothing is added.
  for (let before = 0; before < found.size; ) {
    before = found.size;
    for (const image of images) if (image.parent !== null && found.has(image.parent)) found.add(image.id);
  }
  return found;
}

export interface SummaryFacts {
  readonly now: bigint;
  /** The id that a reference stands for now. */
  readonly findImage: (reference: string) => Digest | undefined;
  /** The names that links give to containers, by their ids. */
  readonly linkNames: ReadonlyMap<string, readonly string[]>;
}

/** The very object of the last time while nothing in it has changed: whoever made its text has it still. */
function currentSummary(container: Container, facts: SummaryFacts): ContainerSummary {
  const { record, summary: last } = container;
  // Names from other containers' links change without this one.
  if (facts.linkNames.has(record.id)) return summaryOf(record, facts);
  if (last?.Status === statusText(record.state, facts.now) && last.Image === imageOf(record, facts)) return last;
  container.summary = summaryOf(record, facts);
  return container.summary;
}

export function summaryOf(record: ContainerRecord, facts: SummaryFacts): ContainerSummary {
  const { config, hostConfig, state } = record;
  return {
    Id: record.id,
    Names: [`/${record.name}`, ...(facts.linkNames.get(record.id) ?? [])].sort(),
    Image: imageOf(record, facts),
    ImageID: record.imageId ?? "",
    Command: [record.path, ...record.args.map((arg) => (arg.includes(" ") ? `'${arg}'` : arg))].join(" "),
    Created: wholeSeconds(record.created),
    Ports: portsOf(record.ports),
    SizeRw: 0,
    SizeRootFs: 0,
    Labels: config.Labels,
    State: state.status,
    Status: statusText(state, facts.now),
    HostConfig: { NetworkMode: hostConfig.NetworkMode, Annotations: hostConfig.Annotations },
    NetworkSettings: { Networks: networksOf(record.networks) },
    Mounts: record.mounts.map((mount) => ({ ...mountPointOf(mount), Source: isDeclared(mount) ? "" : mount.source })),
  };
}

/** A name that was moved to another image would lie. */
function imageOf({ config, imageId }: ContainerRecord, { findImage }: SummaryFacts): string {
  const id = imageId ?? "";
  return config.Image === id || findImage(config.Image) === id ? config.Image : id;
}

/** moby's list does not know where the volumes of an image's VOLUME lie. */
const isDeclared = (mount: MountRecord): boolean => mount.type === "volume" && mount.isAnonymous && mount.spec === null;

/** Names and options are for inspect. */
function networksOf(networks: ContainerRecord["networks"]): Record<string, EndpointSettings> {
  const brief = Object.entries(networks).map(([name, endpoint]): [string, EndpointSettings] => [
    name,
    {
      ...endpoint,
      IPAMConfig: endpoint.IPAMConfig === null ? null : { ...endpoint.IPAMConfig, LinkLocalIPs: null },
      Links: null,
      Aliases: null,
      DriverOpts: null,
      DNSNames: null,
    },
  ]);
  return Object.fromEntries(brief);
}
