/**
 * `--link child:alias` outside of user networks, which have the resolver (moby's daemon/links.go). The record of the container keeps
 * "<child's id>:<alias>", so that no rename breaks the link, and "/<its last name>:<alias>" once the child is removed, so that the
 * link is broken for good; clients see "/child:/container/alias", whose second half is one more name of the child.
 */
import type { HostConfig } from "#api-schema/container-config";
import { EngineError } from "#base/errors";
import type { ContainerRecord } from "#storage";
import { containerOf } from "../../spec/modes.ts";
import type { ContainerLookup } from "../context.ts";
import type { HostEntry } from "../etc/hosts.ts";
import { isUserNetwork } from "../modes.ts";

export interface LegacyLink {
  readonly child: ContainerRecord;
  readonly alias: string;
}

type Find = ContainerLookup["find"];

/** At create: what the record keeps. Throws in moby's words. */
export function resolveLinks({ Links, NetworkMode }: HostConfig, find: Find): string[] | null {
  if (Links === null || isUserNetwork(NetworkMode)) return null;
  const byAlias = new Map<string, string>();
  for (const link of Links) {
    const { name, alias } = checkedLink(link);
    const child = networkOwner(name, find);
    if (child.hostConfig.NetworkMode === "host") {
      throw new EngineError(
        "invalidParameter",
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
      );
    }
    // Of two children with one alias the first has it.
    if (!byAlias.has(alias)) byAlias.set(alias, child.id);
  }
  return Array.from(byAlias, ([alias, id]) => `${id}:${alias}`);
}

interface RecordedLink {
  readonly child: ContainerRecord | undefined;
  readonly childName: string;
  readonly alias: string;
}

function recordedLinks({ hostConfig }: Pick<ContainerRecord, "hostConfig">, find: Find): RecordedLink[] {
  return (hostConfig.Links ?? []).map((link) => {
    const { name, alias } = parseLink(link);
    const child = isBroken(link) ? undefined : find(name);
    return { child, childName: child?.name ?? name, alias };
  });
}

const isBroken = (link: string): boolean => link.startsWith("/");

/** Those to containers that are there. */
export const linksOf = (container: Pick<ContainerRecord, "hostConfig">, find: Find): LegacyLink[] =>
  recordedLinks(container, find).flatMap(({ child, alias }) => (child === undefined ? [] : [{ child, alias }]));

/** What a container's record keeps when another is removed; undefined if it was not linked to that one. */
export function breakLinks({ Links }: HostConfig, { id, name }: ContainerRecord): string[] | undefined {
  const isToChild = (link: string): boolean => link.startsWith(`${id}:`);
  if (!Links?.some(isToChild)) return undefined;
  return Links.map((link) => (isToChild(link) ? `/${name}:${parseLink(link).alias}` : link));
}

/** As the child is also called, and as moby names the link. */
export const linkName = (container: Pick<ContainerRecord, "name">, alias: string): string =>
  `/${container.name}/${alias}`;

/** All of these names, by the id of the child. */
export function linkNamesOf(
  containers: readonly ContainerRecord[],
  find: Find,
): ReadonlyMap<string, readonly string[]> {
  const links = containers.flatMap((container) => linksOf(container, find).map((link) => ({ container, ...link })));
  const byChild = Map.groupBy(links, ({ child }) => child.id);
  const names = Array.from(byChild, ([id, own]): [string, string[]] => [
    id,
    own.map(({ container, alias }) => linkName(container, alias)),
  ]);
  return new Map(names);
}

/** HostConfig.Links for clients. */
export function shownLinks(container: ContainerRecord, find: Find): string[] | null {
  const links = recordedLinks(container, find);
  if (links.length === 0) return null;
  return links.map(({ childName, alias }) => `/${childName}:${linkName(container, alias)}`);
}

/** Which container the last part of "parent/alias" leads to. */
export const linkedId = (container: ContainerRecord, alias: string): string | undefined =>
  (container.hostConfig.Links ?? []).map(parseLink).find((link) => link.alias === alias)?.name;

/** What a container's /etc/hosts says of the children on the default bridge (moby's addLegacyLinks). */
export function legacyLinks(container: ContainerRecord, { find }: Pick<ContainerLookup, "find">): HostEntry[] {
  if (container.networks.bridge === undefined) return [];
  return linksOf(container, find).flatMap((link) => {
    if (link.child.networks.bridge === undefined) {
      const message = `Cannot link to /${link.child.name}, as it does not belong to the default network`;
      throw new EngineError("system", message);
    }
    return hostsOf(link);
  });
}

/** Where a child is now; none while it does not run. */
export function hostsOf(link: LegacyLink): HostEntry[] {
  const bridge = link.child.networks.bridge;
  return [bridge?.IPAddress ?? "", bridge?.GlobalIPv6Address ?? ""]
    .filter((address) => address !== "")
    .map((address) => ({ address, names: hostNames(link) }));
}

export const hostNames = ({ child, alias }: LegacyLink): string =>
  [alias, child.config.Hostname, ...(alias === child.name ? [] : [child.name])].join(" ");

/** `ALIAS_PORT_80_TCP_ADDR=…` and its like: what the children offer (moby's setupLinkedContainers). */
export function linkEnvironment(container: ContainerRecord, find: Find): string[] {
  if (container.networks.bridge === undefined) return [];
  return recordedLinks(container, find).flatMap(({ child, childName, alias }) => {
    const name = linkName(container, alias);
    if (child === undefined || !["running", "paused", "restarting"].includes(child.state.status)) {
      throw new EngineError("system", `Cannot link to a non running container: /${childName} AS ${name}`);
    }
    const bridge = child.networks.bridge;
    if (bridge === undefined) {
      throw new EngineError("system", `container ${child.id} not attached to default bridge network`);
    }
    const prefix = alias.toUpperCase().replaceAll("-", "_");
    return [
      ...portVariables(prefix, bridge.IPAddress, Object.keys(child.config.ExposedPorts ?? {})),
      `${prefix}_NAME=${name}`,
      ...inheritedVariables(prefix, child.config.Env ?? []),
    ];
  });
}

interface Port {
  readonly number: number;
  readonly protocol: string;
}

/** TCP first, and of one protocol by number. */
function sortedPorts(exposed: readonly string[]): Port[] {
  const ports = exposed.map((text) => {
    const [number = "", protocol = "tcp"] = text.split("/");
    return { number: Number(number), protocol: protocol.toLowerCase() };
  });
  const rank = ({ protocol }: Port): string => (protocol === "tcp" ? "" : protocol);
  return ports.sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : a.number - b.number));
}

function portVariables(prefix: string, address: string, exposed: readonly string[]): string[] {
  const ports = sortedPorts(exposed);
  const url = ({ number, protocol }: Port): string => `${protocol}://${address}:${number}`;
  const nameOf = ({ number, protocol }: Port): string => `${prefix}_PORT_${number}_${protocol.toUpperCase()}`;
  const single = (port: Port): string[] => [
    `${nameOf(port)}=${url(port)}`,
    `${nameOf(port)}_ADDR=${address}`,
    `${nameOf(port)}_PORT=${port.number}`,
    `${nameOf(port)}_PROTO=${port.protocol}`,
  ];
  const range = ([first, last]: readonly [Port, Port]): string[] => [
    `${nameOf(first)}_START=${url(first)}`,
    `${nameOf(first)}_PORT_START=${first.number}`,
    `${nameOf(first)}_END=${url(last)}`,
    `${nameOf(first)}_PORT_END=${last.number}`,
  ];
  const [first] = ports;
  if (first === undefined) return [];
  return [`${prefix}_PORT=${url(first)}`, ...ports.flatMap(single), ...rangesOf(ports).flatMap(range)];
}

/** Runs of at least two neighbouring ports. */
function rangesOf(ports: readonly Port[]): (readonly [Port, Port])[] {
  const runs: [Port, Port][] = [];
  for (const port of ports) {
    const run = runs.at(-1);
    if (run?.[1].protocol === port.protocol && run[1].number + 1 === port.number) run[1] = port;
    else runs.push([port, port]);
  }
  return runs.filter(([first, last]) => first !== last);
}

/** The child's own environment, but for what every image sets. */
const inheritedVariables = (prefix: string, environment: readonly string[]): string[] =>
  environment
    .filter((entry) => entry.includes("=") && !/^(?:HOME|PATH)=/.test(entry))
    .map((entry) => `${prefix}_ENV_${entry}`);

function checkedLink(link: string): { name: string; alias: string } {
  if (link === "") throw new EngineError("system", "empty string specified for links");
  if (link.split(":").length > 2) throw new EngineError("system", `bad format for links: ${link}`);
  return parseLink(link);
}

/** Whose network it is: a container in another's is reached there. */
function networkOwner(name: string, find: Find): ContainerRecord {
  const container = find(name);
  if (container === undefined) {
    throw new EngineError("invalidParameter", `could not get container for ${name}: No such container: ${name}`);
  }
  const other = containerOf(container.hostConfig.NetworkMode);
  return other === undefined ? container : networkOwner(other, find);
}

/** "name:alias", "name", or as inspect shows it: "/name:/container/alias". */
export function parseLink(link: string): { readonly name: string; readonly alias: string } {
  const [name = "", alias] = link.split(":");
  if (alias === undefined) return { name, alias: name };
  return { name: name.replace(/^\//, ""), alias: alias.slice(alias.lastIndexOf("/") + 1) };
}
