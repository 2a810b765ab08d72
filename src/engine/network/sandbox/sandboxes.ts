/**
 * The network side of a container's life. A start: namespace, endpoints, routes, ports, files. An end: ports, namespace, leases.
 * Whoever calls holds the container's lock.
 */
import { newId } from "#base/ids";
import type { PortOwner, PublishedPort } from "#network";
import type { ContainerRecord } from "#storage";
import { containerOf } from "../../spec/modes.ts";
import { remapOf } from "../../user-remap.ts";
import type { DefaultBridgeConfig, NetworkContext } from "../context.ts";
import { prefixed } from "../errors.ts";
import {
  addMissingHosts,
  changeHosts,
  filesIn,
  makeResolvConf,
  type NetworkFiles,
  replaceFirstResolvConf,
  replaceResolvConf,
  writeFirstResolvConf,
  writeHostname,
  writeHosts,
  writeResolvConf,
} from "../etc/files.ts";
import type { ResolverKind } from "../etc/resolv-conf.ts";
import { tellParents } from "../links/hosts.ts";
import { legacyLinks } from "../links/legacy-links.ts";
import { addressesOf, type ContainerSandbox, type Endpoint, type Network } from "../network.ts";
import { askedInterfaceName, endpointError, joinNetwork } from "./endpoint.ts";
import { type Attachment, emptySettings, withoutOperational } from "./endpoint-settings.ts";
import { chooseGateways, defaultRoutes, type Gateways } from "./gateways.ts";
import { announce, needsResolver, serveNames } from "./names.ts";
import { orderedNames, referenceOf } from "./networks.ts";
import { portMap, portRequests, recordedRequests } from "./port-requests.ts";
import { openRemappedSandbox } from "./remapped.ts";
import { noSandbox, type Sandbox } from "./sandbox.ts";
import { hostnameOf, shareSandbox } from "./shared.ts";

const setupFailed = "failed to set up container networking";
const noGateways: Gateways = { endpoint4: undefined, endpoint6: undefined };

export class ContainerSandboxes {
  readonly #context: NetworkContext;
  readonly #byContainer = new Map<string, ContainerSandbox>();

  constructor(context: NetworkContext) {
    this.#context = context;
  }

  find(containerId: string): ContainerSandbox | undefined {
    return this.#byContainer.get(containerId);
  }

  list(): ContainerSandbox[] {
    return [...this.#byContainer.values()];
  }

  async attach(container: ContainerRecord, directory: string): Promise<Sandbox> {
    if (container.config.NetworkDisabled) return noSandbox(container);
    const other = containerOf(container.hostConfig.NetworkMode);
    if (other !== undefined) return shareSandbox(this.#context, container, other, directory);
    await this.detach(container);
    const sandbox = await this.#open(container, filesIn(directory));
    this.#byContainer.set(container.id, sandbox);
    let published: Promise<void> | undefined;
    try {
      const networks = this.#connectAll(sandbox);
      const name = hostnameOf(container);
      published = this.#refresh(sandbox).catch((error: unknown) => {
        throw prefixed(setupFailed, error);
      });
      const ports = published.then(() => portMapOf(sandbox));
      ports.catch(() => undefined); // whoever waits for them sees it
      await Promise.all([writeHostname(sandbox.files, name), this.#writeFiles(sandbox)]);
      await tellParents(this.list(), { ...container, networks }, this.#context.containers);
      this.#context.sandboxes.settle(sandbox.key);
      const isHost = sandbox.network === undefined;
      return {
        id: sandbox.id,
        key: sandbox.key,
        namespacePath: isHost ? undefined : sandbox.key,
        userNamespacePath: sandbox.network?.userNamespace,
        hostname: name,
        domainname: container.config.Domainname,
        networks,
        ports,
        connected: Promise.all(sandbox.endpoints.map(({ id }) => this.#context.announcer.toldOnce(id))),
        files: sandbox.files,
      };
    } catch (error) {
      await published?.catch(() => undefined);
      await this.detach(container);
      throw error;
    }
  }

  async detach(container: ContainerRecord): Promise<void> {
    for (const [name, settings] of Object.entries(container.networks)) {
      container.networks[name] = withoutOperational(settings);
    }
    const sandbox = this.#byContainer.get(container.id);
    if (sandbox === undefined) return;
    this.#byContainer.delete(container.id);
    const { endpoints } = sandbox;
    const served = this.#stopServing(sandbox);
    const plugged = endpoints.filter(({ network }) => network.isBridge).map(({ id }) => id);
    const children = endpoints.filter(({ network }) => network.link !== undefined);
    if (children.length > 0)
      this.#context.sandboxes.silence(
        sandbox.key,
        children.map((child) => child.interfaceName),
      );
    if (sandbox.network !== undefined) this.#context.sandboxes.remove(sandbox.id, plugged);
    for (const endpoint of endpoints) {
      endpoint.network.removeEndpoint(endpoint);
      this.#emit("disconnect", endpoint);
    }
    await served;
  }

  /** Its ports are free for others when this resolves; requests are sent before it returns. */
  async #stopServing({ id, endpoints, published, resolver }: ContainerSandbox): Promise<void> {
    const { announcer, ports, relay } = this.#context;
    for (const { id: endpointId } of endpoints) {
      announcer.end(endpointId);
      relay.dropEndpoint(endpointId);
    }
    const answers = [ports.unpublish(published), resolver === undefined ? undefined : relay.dropResolver(id)];
    await Promise.all(answers);
  }

  /** One more network for a running container: first in the kernel, then in its record, then in its files; `mend` knows that. */
  async connect(sandbox: ContainerSandbox, network: Network, asked: Attachment): Promise<void> {
    const { endpoint, settings } = joinNetwork(this.#context, sandbox, network, asked);
    try {
      await this.#refresh(sandbox);
      sandbox.container.networks[network.name] = settings;
      this.#record(sandbox);
      await this.#serveNames(sandbox);
      await changeHosts(sandbox.files, sandbox.container, { added: addressesOf(endpoint) });
    } catch (error) {
      await this.#remove(sandbox, endpoint);
      throw error;
    }
    this.#emit("connect", endpoint);
  }

  async disconnect(sandbox: ContainerSandbox, endpoint: Endpoint): Promise<void> {
    await this.#remove(sandbox, endpoint);
    this.#emit("disconnect", endpoint);
  }

  /** Takes over a sandbox that an earlier life of the daemon made. What cannot be served again is logged: the container runs. */
  async adopt(sandbox: ContainerSandbox): Promise<void> {
    const { container } = sandbox;
    this.#byContainer.set(container.id, sandbox);
    sandbox.gateways = chooseGateways(sandbox.endpoints);
    const warn = (err: unknown) =>
      this.#context.log.warn({ id: container.id, err }, "ports or names of a running container cannot be served");
    try {
      const owner = portOwner(sandbox.gateways, this.#context.config.bridge);
      if (owner !== undefined) {
        sandbox.published = await this.#context.ports.republish(recordedRequests(container.ports), owner, warn);
      }
      await this.#serveNames(sandbox, { write: replaceFirstResolvConf, isNew: false });
    } catch (error) {
      warn(error);
    }
  }

  /** The daemon may have died in the middle of a `connect` or `disconnect`: the record says which networks it is to be on. */
  async mend(sandbox: ContainerSandbox): Promise<void> {
    const { key, container, endpoints, files, gateways } = sandbox;
    try {
      const names = endpoints.map(({ interfaceName }) => interfaceName);
      if (sandbox.network !== undefined) this.#context.sandboxes.mend(key, names, defaultRoutes(gateways));
      await addMissingHosts(files, container, endpoints.flatMap(addressesOf));
      if (JSON.stringify(container.ports) !== JSON.stringify(portMapOf(sandbox))) this.#record(sandbox);
    } catch (err) {
      this.#context.log.warn({ id: container.id, err }, "the network of a running container cannot be mended");
    }
  }

  /** A running container has another name now. */
  rename(container: ContainerRecord): void {
    for (const endpoint of this.find(container.id)?.endpoints ?? []) {
      const names = container.networks[endpoint.network.name]?.DNSNames ?? [];
      endpoint.names = names.map((name) => name.toLowerCase());
      announce(this.#context.relay, endpoint);
    }
  }

  async #open(container: ContainerRecord, files: NetworkFiles): Promise<ContainerSandbox> {
    const { sandboxes } = this.#context;
    const remap = remapOf(container.hostConfig, this.#context.userRemap);
    const mode = container.hostConfig.NetworkMode;
    const common = { container, files, endpoints: [], gateways: noGateways, published: [], resolver: undefined };
    if (mode === "host") {
      return { ...common, id: newId(), key: sandboxes.namespaces.pathOf("default"), network: undefined };
    }
    const [first] = this.#networksOf(container);
    const isNamed = askedInterfaceName(container.networks[first?.name ?? ""]) !== undefined;
    const isReady = isPlain(first) && !isNamed;
    const openOwn = () => (isReady ? sandboxes.take() : sandboxes.takeEmpty());
    const network = remap === undefined ? openOwn() : await openRemappedSandbox(this.#context, container, remap);
    return { ...common, id: network.id, key: network.key, network };
  }

  /** The networks of a container that exist, in the order of their interfaces. */
  #networksOf(container: ContainerRecord): Network[] {
    return orderedNames(container).flatMap((name) => {
      const network = this.#context.networks.find(referenceOf(name, container.networks[name]));
      return network === undefined ? [] : [network];
    });
  }

  #connectAll(sandbox: ContainerSandbox): Record<string, Attachment> {
    const { container } = sandbox;
    const networks: Record<string, Attachment> = {};
    try {
      for (const name of orderedNames(container)) {
        const asked = container.networks[name] ?? emptySettings();
        if (name === "bridge" && this.#context.config.bridge.name === "none") {
          networks[name] = asked;
          continue;
        }
        const network = this.#context.networks.get(referenceOf(name, asked));
        const { settings, endpoint } = joinNetwork(this.#context, sandbox, network, asked);
        networks[network.name] = settings;
        this.#emit("connect", endpoint);
      }
      return networks;
    } catch (error) {
      throw prefixed(setupFailed, error);
    }
  }

  /** Routes and ports follow the gateway, which may be another one now. */
  async #refresh(sandbox: ContainerSandbox): Promise<void> {
    const gateways = chooseGateways(sandbox.endpoints);
    const before = sandbox.gateways;
    if (gateways.endpoint4 === before.endpoint4 && gateways.endpoint6 === before.endpoint6) return;
    sandbox.gateways = gateways;
    const isChange = before.endpoint4 !== undefined || before.endpoint6 !== undefined;
    this.#context.sandboxes.setDefaultRoutes(sandbox.key, defaultRoutes(gateways), isChange);
    const published = sandbox.published;
    sandbox.published = [];
    await this.#context.ports.unpublish(published);
    sandbox.published = await this.#publish(sandbox);
  }

  async #publish({ gateways, container }: ContainerSandbox): Promise<readonly PublishedPort[]> {
    const owner = portOwner(gateways, this.#context.config.bridge);
    const requests = portRequests(container.config, container.hostConfig);
    if (owner === undefined || requests.length === 0) return [];
    try {
      return await this.#context.ports.publish(requests, owner);
    } catch (error) {
      throw endpointError(owner.endpoint, error);
    }
  }

  #record(sandbox: ContainerSandbox): void {
    sandbox.container.ports = portMapOf(sandbox);
    this.#context.containers.save(sandbox.container);
  }

  /** In the reverse order of `connect`. */
  async #remove(sandbox: ContainerSandbox, endpoint: Endpoint): Promise<void> {
    await changeHosts(sandbox.files, sandbox.container, { removed: addressesOf(endpoint) });
    delete sandbox.container.networks[endpoint.network.name];
    this.#record(sandbox);
    sandbox.endpoints.splice(sandbox.endpoints.indexOf(endpoint), 1);
    const { sandboxes } = this.#context;
    if (endpoint.network.isBridge) await sandboxes.unplug(endpoint.id);
    else if (endpoint.network.link !== undefined) await sandboxes.removeChild(sandbox.key, endpoint.interfaceName);
    endpoint.network.removeEndpoint(endpoint);
    this.#context.announcer.end(endpoint.id);
    this.#context.relay.dropEndpoint(endpoint.id);
    await this.#refresh(sandbox);
    this.#record(sandbox);
    await this.#serveNames(sandbox);
  }

  async #writeFiles(sandbox: ContainerSandbox): Promise<void> {
    const { container, endpoints, files } = sandbox;
    const hosts = writeHosts(files, {
      container,
      hostGateways: this.#hostGateways(),
      links: legacyLinks(container, this.#context.containers),
      addresses: endpoints.flatMap(addressesOf),
    });
    await Promise.all([hosts, this.#writeResolvConf(sandbox)]);
  }

  async #writeResolvConf(sandbox: ContainerSandbox): Promise<void> {
    if (needsResolver(this.#context.relay, sandbox))
      return this.#serveNames(sandbox, { write: writeResolvConf, isNew: true });
    const kind: ResolverKind = sandbox.network === undefined ? "host" : "legacy";
    const { text } = await this.#makeResolvConf(sandbox, kind);
    await writeFirstResolvConf(sandbox.files, text);
  }

  async #serveNames(
    sandbox: ContainerSandbox,
    { write, isNew } = { write: replaceResolvConf, isNew: false },
  ): Promise<void> {
    const { relay } = this.#context;
    if (sandbox.network === undefined) return;
    if (sandbox.resolver !== undefined) return serveNames(relay, sandbox, { ...sandbox.resolver, isNew });
    if (!needsResolver(relay, sandbox)) return;
    const { text, upstreams, isNdotsSet } = await this.#makeResolvConf(sandbox, "internal");
    sandbox.resolver = { upstreams, isNdotsSet };
    await Promise.all([serveNames(relay, sandbox, { ...sandbox.resolver, isNew }), write(sandbox.files, text)]);
  }

  #makeResolvConf({ container, endpoints }: ContainerSandbox, kind: ResolverKind) {
    const { dns } = this.#context.config;
    const { Dns, DnsSearch, DnsOptions } = container.hostConfig;
    const chosen = (own: readonly string[] | null, byDefault: readonly string[]) =>
      own !== null && own.length > 0 ? own : byDefault;
    return makeResolvConf({
      settings: {
        nameservers: chosen(Dns, dns.nameservers),
        search: chosen(DnsSearch, dns.search),
        options: chosen(DnsOptions, dns.options),
      },
      kind,
      // moby: a container without any network may still get IPv6 servers.
      isIpv6Enabled: endpoints.some(({ network }) => network.record.isIpv6Enabled),
    });
  }

  #hostGateways(): readonly string[] {
    const { hostGateways } = this.#context.config;
    if (hostGateways.length > 0) return hostGateways;
    const pools = this.#context.networks.findByName("bridge")?.record.pools ?? [];
    return pools.map(({ gateway }) => gateway).filter((gateway) => gateway !== "");
  }

  #emit(action: "connect" | "disconnect", { network, container }: Endpoint): void {
    const attributes = { container: container.id, name: network.name, type: network.record.driver };
    this.#context.events.emit("network", action, network.id, attributes);
  }
}

/** Whether its first interface is the eth0 of the pool. */
const isPlain = (network: Network | undefined): boolean =>
  network?.isBridge === true && network.bridge.interfacePrefix === "";

/** Ports lead to the endpoints that carry what is for elsewhere. */
function portEndpoint({ endpoint4, endpoint6 }: Gateways): Endpoint | undefined {
  const endpoint = endpoint4 ?? endpoint6;
  return endpoint?.network.isBridge === true ? endpoint : undefined;
}

function portOwner(
  gateways: Gateways,
  { isDirectRoutingAllowed }: DefaultBridgeConfig,
): (PortOwner & { readonly endpoint: Endpoint }) | undefined {
  const { endpoint4, endpoint6 } = gateways;
  const endpoint = portEndpoint(gateways);
  if (endpoint === undefined) return undefined;
  return {
    endpoint,
    address4: endpoint4?.address4,
    address6: endpoint6?.address6,
    defaultHostAddress: endpoint.network.bridge.defaultHostAddress ?? { family: 4, value: 0n },
    isRouted4: endpoint4?.network.bridge.gatewayMode4 === "routed",
    isRouted6: endpoint6?.network.bridge.gatewayMode6 === "routed",
    isDirect: isDirectRoutingAllowed || endpoint.network.bridge.trustedInterfaces.length > 0,
  };
}

function portMapOf({ container, published, gateways }: ContainerSandbox): ReturnType<typeof portMap> {
  return portEndpoint(gateways) !== undefined ? portMap(container.config, published) : {};
}
