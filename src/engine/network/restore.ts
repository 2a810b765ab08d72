/** After a start of the daemon: what runs is taken over, what is ours and unknown goes. The order keeps traffic flowing. */
import { errnoOf, messageOf } from "#base/errors";
import { parseId } from "#base/ids";
import { formatMac, parseAddress } from "#network";
import type { ContainerRecord } from "#storage";
import { containerOf } from "../spec/modes.ts";
import type { NetworkContext } from "./context.ts";
import { ensureDefaultNetworks } from "./defaults.ts";
import { setUpBridge } from "./driver/bridge.ts";
import { setUpParent } from "./driver/parent.ts";
import type { NetworkFiles } from "./etc/files.ts";
import { linkedPorts } from "./links/ports.ts";
import type { ContainerSandbox, Endpoint } from "./network.ts";
import { announce, linksOf } from "./sandbox/names.ts";
import type { ContainerSandboxes } from "./sandbox/sandboxes.ts";

export async function restoreNetworks(
  context: NetworkContext,
  sandboxes: ContainerSandboxes,
  running: readonly ContainerRecord[],
  filesOf: (container: ContainerRecord) => NetworkFiles,
): Promise<void> {
  await context.relay.open();
  const connected = running.filter(({ hostConfig }) => containerOf(hostConfig.NetworkMode) === undefined);
  ensureDefaultNetworks(
    context,
    connected.some(({ networks }) => networks.bridge !== undefined),
  );
  setUpBridges(context);
  for (const container of connected) {
    const sandbox = sandboxOf(context, container, filesOf(container));
    if (sandbox !== undefined) await sandboxes.adopt(sandbox);
  }
  if (!context.config.bridge.isIccEnabled) context.firewall.setLinks(linkedPorts(sandboxes.list()));
  // One transaction puts the table there with every network and port: no packet meets half of it.
  context.firewall.install();
  await context.relay.dropUnclaimed();
  await removeStrays(context, sandboxes.list());
  await removeStrayLinks(context);
  for (const sandbox of sandboxes.list()) await sandboxes.mend(sandbox);
}

function setUpBridges(context: NetworkContext): void {
  for (const network of context.networks.list()) {
    try {
      if (network.isBridge) setUpBridge(context, network);
      setUpParent(context, network);
    } catch (error) {
      // One broken network must not keep the others, and the engine, from coming up.
      context.log.error({ network: network.name, err: error }, "a network cannot be set up");
    }
  }
}

/** Namespaces and ports of ours that belong to none of these. */
export async function removeStrays(context: NetworkContext, sandboxes: readonly ContainerSandbox[]): Promise<void> {
  const endpoints = sandboxes.flatMap((sandbox) => sandbox.endpoints);
  await context.sandboxes.reconcile(new Set(sandboxes.map(({ id }) => id)), new Set(endpoints.map(({ id }) => id)));
}

/** Bridges and parents that belong to no network. */
async function removeStrayLinks({ bridges, parents, networks }: NetworkContext): Promise<void> {
  const known = new Set(networks.list().map(({ bridgeName, link }) => link?.parent ?? bridgeName));
  for (const name of bridges.listOwn()) if (!known.has(name)) await bridges.remove(name);
  for (const name of parents.listOwn()) if (!known.has(name)) await parents.removeOwn(name);
}

function sandboxOf(
  context: NetworkContext,
  container: ContainerRecord,
  files: NetworkFiles,
): ContainerSandbox | undefined {
  if (container.sandboxId === "") return undefined;
  const id = parseId(container.sandboxId);
  const isHost = container.hostConfig.NetworkMode === "host";
  const network = isHost ? undefined : { id, key: container.sandboxKey, readyEndpointId: undefined };
  const endpoints = Object.entries(container.networks).flatMap(([name, settings]) => {
    try {
      const endpoint = endpointOf(context, container, name);
      return endpoint === undefined ? [] : [endpoint];
    } catch (error) {
      const fields = { id: container.id, network: name, endpoint: settings.EndpointID, err: messageOf(error) };
      context.log.warn({ ...fields, code: errnoOf(error) }, "an endpoint of a running container cannot be taken over");
      return [];
    }
  });
  return {
    id,
    key: container.sandboxKey,
    network,
    container,
    files,
    endpoints,
    gateways: { endpoint4: undefined, endpoint6: undefined },
    published: [],
    resolver: undefined,
  };
}

function endpointOf(context: NetworkContext, container: ContainerRecord, name: string): Endpoint | undefined {
  const settings = container.networks[name];
  const network = context.networks.findByName(name);
  if (settings === undefined || settings.EndpointID === "" || network === undefined) return undefined;
  const lease = (text: string) => {
    const address = parseAddress(text);
    return address === undefined ? undefined : network.poolOf(address)?.leaseExactly(address);
  };
  const { MacAddress } = settings;
  const [address4, address6] = [lease(settings.IPAddress), lease(settings.GlobalIPv6Address)];
  const address = address4 ?? address6;
  const endpoint: Endpoint = {
    id: parseId(settings.EndpointID),
    network,
    container,
    interfaceName:
      network.hasInterfaces && address !== undefined
        ? (context.sandboxes.findInterface(container.sandboxKey, address) ?? "")
        : "",
    mac: MacAddress === "" ? "" : formatMac(Buffer.from(MacAddress.replaceAll(":", ""), "hex")),
    address4,
    address6,
    priority: Number(settings.GwPriority),
    names: (settings.DNSNames ?? []).map((alias) => alias.toLowerCase()),
    links: linksOf(settings.Links),
  };
  network.addEndpoint(endpoint);
  announce(context.relay, endpoint);
  return endpoint;
}
