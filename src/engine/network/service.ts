import { createHash } from "node:crypto";
import { join } from "node:path";
import type { NetworkCreateRequest, NetworkInspect } from "#api-schema/network";
import type { EndpointSettings, NetworkingConfig } from "#api-schema/network-settings";
import { type Clock, formatTime } from "#base/clock";
import { errnoText } from "#base/errno-text";
import { EngineError, errnoOf } from "#base/errors";
import { parseGoTime, rfc3339 } from "#base/go-time";
import { newId, shortId } from "#base/ids";
import type { Locks } from "#base/locks";
import type { Log } from "#base/log";
import { goQuote } from "#base/strconv";
import {
  type AddressPool,
  Announcer,
  Bridges,
  defaultAddressPools,
  ephemeralPorts,
  Firewall,
  Flows,
  Forwarding,
  ParentLinks,
  PortAllocator,
  Ports,
  parsePrefix,
  Relay,
  type RelayOptions,
  Sandboxes,
} from "#network";
import type { ContainerRecord, Storage } from "#storage";
import type { Events } from "../events.ts";
import type { Filters } from "../filters.ts";
import { matchesPruneLabels, parseUntil } from "../prune-filters.ts";
import { containerOf } from "../spec/modes.ts";
import type { UserRemap } from "../user-remap.ts";
import type { ContainerLookup, NetworkConfig, NetworkContext } from "./context.ts";
import { planNetwork, uniqueLocalPool } from "./create/create.ts";
import { reservedPrefixes } from "./create/reserved.ts";
import { startUp } from "./defaults.ts";
import { setUpBridge, tearDownBridge } from "./driver/bridge.ts";
import { setUpParent, tearDownParent } from "./driver/parent.ts";
import { forbidden, invalid, joinMessages, noSuchNetwork, prefixed } from "./errors.ts";
import { filesIn } from "./etc/files.ts";
import { checkFlags, firewallPolicy } from "./flags.ts";
import { filterNetworks, inspectNetwork } from "./inspect.ts";
import { dropLink } from "./links/hosts.ts";
import type { LegacyLink } from "./links/legacy-links.ts";
import { linkedPorts } from "./links/ports.ts";
import { isPredefined, isUserNetwork } from "./modes.ts";
import type { Network } from "./network.ts";
import { NetworkIndex } from "./network-index.ts";
import type { NetworkRecord } from "./record.ts";
import { removeStrays, restoreNetworks } from "./restore.ts";
import { asked, dnsNames, emptySettings, validateSettings } from "./sandbox/endpoint-settings.ts";
import { connectContainer, disconnectContainer, findEndpoint } from "./sandbox/membership.ts";
import type { Sandbox } from "./sandbox/sandbox.ts";
import { ContainerSandboxes } from "./sandbox/sandboxes.ts";

export type { Sandbox } from "./sandbox/sandbox.ts";

const poolSize = 8;
/** How soon rules that somebody flushed are back. */
const verifyIntervalMs = 1000;
const pruneFilters = ["label", "label!", "until"];

/** Networks, and the network side of containers. */
export class NetworkService {
  readonly #context: NetworkContext;
  readonly #sandboxes: ContainerSandboxes;
  readonly #dataRoot: string;
  #verifying: NodeJS.Timeout | undefined;

  constructor(context: NetworkContext, dataRoot: string) {
    this.#context = context;
    this.#sandboxes = new ContainerSandboxes(context);
    this.#dataRoot = dataRoot;
  }

  async create(request: NetworkCreateRequest): Promise<{ Id: string; Warning: string }> {
    const { networks, bridges, config, clock } = this.#context;
    const identity = { id: newId(), created: formatTime(clock.now()) };
    const record = planNetwork(request, identity, {
      networks: networks.list(),
      addressPools: config.addressPools,
      defaultOptions: config.defaultNetworkOptions,
      reserved: () => reservedPrefixes(this.#context),
      isBridgeThere: (name) => bridges.isForeign(name),
    });
    const network = networks.insert(record);
    try {
      if (network.isBridge) setUpBridge(this.#context, network);
      setUpParent(this.#context, network);
    } catch (error) {
      networks.delete(network);
      if (network.isBridge) await tearDownBridge(this.#context, network);
      await tearDownParent(this.#context, network);
      const code = errnoOf(error);
      throw code === undefined ? error : new EngineError("system", errnoText(code), { cause: error });
    }
    await this.#context.sync();
    this.#emit("create", network);
    return { Id: network.id, Warning: "" };
  }

  /** `scope`: only a network of that scope counts; all of ours are "local". */
  inspect(ref: string, { scope = "" }: { readonly scope?: string } = {}): NetworkInspect {
    const network = this.#context.networks.get(ref);
    if (scope !== "" && scope !== network.record.scope) throw noSuchNetwork(ref);
    return inspectNetwork(network, true);
  }

  /** `isDetailed`: with the containers, as API versions before 1.28 list them. */
  list(filters: Filters, { isDetailed = false }: { readonly isDetailed?: boolean } = {}): NetworkInspect[] {
    const found = filterNetworks(this.#context.networks.list(), filters);
    return found.map((network) => inspectNetwork(network, isDetailed));
  }

  async remove(ref: string): Promise<void> {
    await this.#remove(this.#context.networks.get(ref));
  }

  async prune(filters: Filters): Promise<{ NetworksDeleted: string[] | null }> {
    const { networks, clock, events, log } = this.#context;
    filters.validate(pruneFilters);
    const until = parseUntil(filters, clock);
    const deleted: string[] = [];
    for (const network of networks.list()) {
      const { record, name } = network;
      const isTooYoung = until !== undefined && createdAt(record) > until;
      const isKept = isPredefined(name) || record.isConfigOnly || !network.isEmpty || isTooYoung;
      if (isKept || !matchesPruneLabels(filters, record.labels)) continue;
      try {
        await this.#remove(network);
        deleted.push(name);
      } catch (error) {
        log.warn({ network: name, err: error }, "a network could not be pruned");
      }
    }
    events.emit("network", "prune", "", { reclaimed: "0" });
    return { NetworksDeleted: deleted.length === 0 ? null : deleted };
  }

  async connect(ref: string, containerRef: string, settings: EndpointSettings | null): Promise<void> {
    const { containers, locks } = this.#context;
    const { id } = containers.get(containerRef);
    await locks.run(id, async () => {
      const wish = { ref, container: containers.get(id), settings: asked(settings) };
      await connectContainer(this.#context, this.#sandboxes, wish);
    });
  }

  async disconnect(ref: string, containerRef: string, { force }: { readonly force: boolean }): Promise<void> {
    const { containers, locks, networks } = this.#context;
    const container = containers.find(containerRef);
    if (container === undefined && force) {
      networks.get(ref).removeEndpoint(findEndpoint(networks.get(ref), containerRef));
      return;
    }
    const { id } = container ?? containers.get(containerRef);
    await locks.run(id, async () => {
      await disconnectContainer(this.#context, this.#sandboxes, { ref, container: containers.get(id), force });
      this.#linkPorts();
    });
  }

  /** `docker create`: what dockerd refuses about networks before anything exists. */
  validateCreate(networkingConfig: NetworkingConfig): void {
    const problems = Object.entries(networkingConfig.EndpointsConfig ?? {}).flatMap(([name, settings]) => {
      if (settings === null) return [`invalid config for network ${name}: EndpointsConfig is nil`];
      try {
        validateSettings(settings, name, this.#context.networks.find(name)?.record);
        return [];
      } catch (error) {
        return [prefixed(`invalid config for network ${name}`, error).message];
      }
    });
    if (problems.length > 0) throw invalid(joinMessages(problems));
  }

  /** The `networks` of a new container's record (moby's updateContainerNetworkSettings). */
  initialNetworks(networkMode: string, config: NetworkingConfig | null): Record<string, EndpointSettings> {
    if (containerOf(networkMode) !== undefined) return {};
    const endpoints = Object.entries(config?.EndpointsConfig ?? {});
    const found = isUserNetwork(networkMode) ? this.#context.networks.find(networkMode) : undefined;
    if (endpoints.length === 0) return { [found?.name ?? networkMode]: emptySettings() };
    // The endpoint of `--network <id>` is kept under the network's name, as all others are.
    const nameOf = (name: string) => (found !== undefined && name === found.id ? found.name : name);
    return Object.fromEntries(endpoints.map(([name, settings]) => [nameOf(name), asked(settings)]));
  }

  /** Under the container's lock, before its task is created. Undoes itself when it throws; whoever sees its `ports` refused detaches. */
  async attach(container: ContainerRecord, files: { readonly directory: string }): Promise<Sandbox> {
    const sandbox = await this.#sandboxes.attach(container, files.directory);
    this.#linkPorts();
    return sandbox;
  }

  /** After the exit, or to undo an attach. Idempotent; clears what is operational in the record. */
  async detach(container: ContainerRecord): Promise<void> {
    const detached = this.#sandboxes.detach(container);
    this.#linkPorts();
    await detached;
  }

  /** The container is being removed. */
  forget(container: ContainerRecord): Promise<void> {
    return this.detach(container);
  }

  /** The resolver answers to the new name. */
  rename(container: ContainerRecord): void {
    for (const [name, settings] of Object.entries(container.networks)) {
      if (settings.DNSNames === null) continue;
      container.networks[name] = { ...settings, DNSNames: dnsNames(container, settings.Aliases) };
    }
    this.#sandboxes.rename(container);
  }

  /** `docker rm --link`: the record has lost the link already. */
  async unlink(container: ContainerRecord, link: LegacyLink): Promise<void> {
    const sandbox = this.#sandboxes.find(container.id);
    this.#linkPorts();
    if (sandbox !== undefined) await dropLink(sandbox, link);
  }

  /** After every change of who is on the default bridge, or linked there. */
  #linkPorts(): void {
    const { firewall, config } = this.#context;
    if (!config.bridge.isIccEnabled) firewall.setLinks(linkedPorts(this.#sandboxes.list()));
  }

  /** Brings the kernel in line with the database: before anything is attached, once. */
  async restore(running: readonly ContainerRecord[]): Promise<void> {
    const filesOf = ({ id }: ContainerRecord) => filesIn(join(this.#dataRoot, "containers", id));
    await restoreNetworks(this.#context, this.#sandboxes, running, filesOf);
    this.#context.sandboxes.warmUp();
    this.#verifying = setInterval(() => this.#verify(), verifyIntervalMs).unref();
  }

  /** Where no container runs nothing is left; where some do, their networks stay as they are. */
  async shutdown(): Promise<void> {
    clearInterval(this.#verifying);
    const { networks, firewall, flows, forwarding, sandboxes, announcer, bridges, parents, relay } = this.#context;
    const isInUse = this.#sandboxes.list().length > 0;
    sandboxes.drain();
    await removeStrays(this.#context, this.#sandboxes.list());
    if (!isInUse) {
      for (const network of networks.list()) if (network.isBridge) await tearDownBridge(this.#context, network);
      forwarding.release({ isNeeded: bridges.hasStrangers() });
      firewall.uninstall();
    }
    await relay.close({ isOver: !isInUse });
    announcer[Symbol.dispose]();
    sandboxes[Symbol.dispose]();
    flows[Symbol.dispose]();
    firewall[Symbol.dispose]();
    bridges[Symbol.dispose]();
    parents[Symbol.dispose]();
  }

  async #remove(network: Network): Promise<void> {
    const { networks } = this.#context;
    const { name, record } = network;
    if (isPredefined(name)) throw forbidden(`${name} is a pre-defined network and cannot be removed`);
    const isSource = record.isConfigOnly && networks.list().some(({ record: other }) => other.configFrom === name);
    if (isSource) throw forbidden(`error while removing network: configuration network ${goQuote(name)} is in use`);
    if (!network.isEmpty) {
      const holders = network.endpoints.map(({ id, container }) => `name:"${container.name}" id:"${shortId(id)}"`);
      throw forbidden(`error while removing network: network ${name} has active endpoints (${holders.join(", ")})`);
    }
    networks.delete(network);
    if (network.isBridge) await tearDownBridge(this.#context, network);
    await tearDownParent(this.#context, network);
    await this.#context.sync();
    if (!record.isConfigOnly) this.#emit("destroy", network);
  }

  #verify(): void {
    try {
      this.#context.firewall.verify();
    } catch (error) {
      this.#context.log.error({ err: error }, "the firewall cannot be checked");
    }
  }

  #emit(action: string, { id, name, record }: Network): void {
    this.#context.events.emit("network", action, id, { name, type: record.driver });
  }
}

const createdAt = ({ created }: NetworkRecord): bigint => parseGoTime(rfc3339, created);

export interface NetworkServiceOptions {
  readonly storage: Pick<Storage, "records" | "sync">;
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly config: Omit<NetworkConfig, "addressPools"> & {
    /** dockerd's own where it is empty. */
    readonly addressPools: readonly { readonly base: string; readonly size: number }[];
  };
  readonly containers: ContainerLookup;
  readonly events: Events;
  readonly locks: Locks;
  readonly clock: Clock;
  readonly log: Log;
  readonly relay: Pick<RelayOptions, "launch" | "kill">;
  readonly userRemap?: UserRemap | undefined;
  readonly makeNamespaces: NetworkContext["makeNamespaces"];
}

/** Builds the service and its mechanisms. Nothing happens in the kernel before `restore`. */
export async function openNetworkService(options: NetworkServiceOptions): Promise<NetworkService> {
  const { storage, dataRoot, execRoot, containers, events, locks, clock, log } = options;
  // Several daemons may share a host: each knows its own interfaces and its own table by its data root.
  const instance = createHash("sha256").update(dataRoot).digest("hex").slice(0, 8);
  const tag = `minidock-${instance}`;
  const { bridge } = options.config;
  checkFlags(bridge);
  const firewall = new Firewall(tag, firewallPolicy(bridge), log);
  const sandboxes = new Sandboxes({ directory: join(execRoot, "netns"), tag, poolSize, log });
  const { namespaces } = sandboxes;
  const relay = new Relay({ socket: join(execRoot, "relay.sock"), ...options.relay, namespaces, log });
  const flows = new Flows(log);
  const context: NetworkContext = {
    networks: new NetworkIndex(storage.records.documents<NetworkRecord>("network")),
    sandboxes,
    announcer: new Announcer(namespaces, log),
    bridges: new Bridges(tag),
    parents: new ParentLinks(tag),
    firewall,
    flows,
    forwarding: new Forwarding(join(execRoot, "forwarding"), firewall, { isOpen: bridge.isForwardingOpen }),
    ports: new Ports({
      ...{ allocator: new PortAllocator(ephemeralPorts()), firewall, relay, flows },
      isProxied: bridge.isUserlandProxyEnabled,
    }),
    relay,
    containers,
    sync: () => storage.sync(),
    events,
    locks,
    clock,
    log,
    userRemap: options.userRemap,
    makeNamespaces: options.makeNamespaces,
    config: { ...options.config, addressPools: startUp(() => parsePools(options.config.addressPools, instance)) },
  };
  return new NetworkService(context, dataRoot);
}

function parsePools(pools: readonly { readonly base: string; readonly size: number }[], host: string): AddressPool[] {
  const asked = pools.map(({ base, size }, index) => {
    const prefix = parsePrefix(base);
    if (prefix === undefined) throw new EngineError("invalidParameter", `invalid base pool ${goQuote(base)}`);
    if (prefix.length > size) {
      throw new EngineError(
        "invalidParameter",
        `error obtaining controller instance: could not construct local address space: network at index ${index} (&{${base} ${size}}) has a smaller prefix (/${prefix.length}) than the target size of that pool (/${size})`,
      );
    }
    return { base: prefix, size };
  });
  const own = asked.length > 0 ? asked : defaultAddressPools;
  return own.some(({ base }) => base.family === 6) ? [...own] : [...own, uniqueLocalPool(host)];
}
