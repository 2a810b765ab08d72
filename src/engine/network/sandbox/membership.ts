/** `docker network connect` and `disconnect`: running containers get or lose an interface, others only the wish for it. */
import { EngineError } from "#base/errors";
import type { ContainerRecord } from "#storage";
import { containerOf } from "../../spec/modes.ts";
import type { NetworkContext } from "../context.ts";
import { invalid } from "../errors.ts";
import { isUserNetwork } from "../modes.ts";
import type { Endpoint, Network } from "../network.ts";
import { type Attachment, dnsNames, validateSettings } from "./endpoint-settings.ts";
import { checkNetworks, sharedNetwork } from "./networks.ts";
import type { ContainerSandboxes } from "./sandboxes.ts";

const isRunning = ({ state }: ContainerRecord): boolean => state.status === "running" || state.status === "paused";

export async function connectContainer(
  context: NetworkContext,
  sandboxes: ContainerSandboxes,
  wish: { readonly ref: string; readonly container: ContainerRecord; readonly settings: Attachment },
): Promise<void> {
  const { ref, container, settings } = wish;
  const sandbox = sandboxes.find(container.id);
  if (!isRunning(container)) {
    refuseDuringRemoval(container);
    const network = context.networks.find(ref);
    // As moby: a network that does not exist may exist when the container starts.
    if (network === undefined) container.networks[ref] = settings;
    else addMembership(context, container, network, settings);
    return context.containers.save(container);
  }
  if (containerOf(container.hostConfig.NetworkMode) !== undefined) throw invalid(sharedNetwork);
  const network = context.networks.get(ref);
  if (sandbox === undefined)
    throw new EngineError("notFound", `network sandbox for container ${container.id} not found`);
  await sandboxes.connect(sandbox, network, settings);
}

export async function disconnectContainer(
  context: NetworkContext,
  sandboxes: ContainerSandboxes,
  wish: { readonly ref: string; readonly container: ContainerRecord; readonly force: boolean },
): Promise<void> {
  const { ref, container, force } = wish;
  const network = force ? context.networks.find(ref) : undefined;
  if (!isRunning(container) || (force && network === undefined)) {
    refuseDuringRemoval(container);
    const name = context.networks.find(ref)?.name ?? ref;
    if (!Object.hasOwn(container.networks, name)) {
      throw new EngineError("system", `container ${container.id} is not connected to the network ${name}`);
    }
    delete container.networks[name];
    return context.containers.save(container);
  }
  await leave(sandboxes, container, context.networks.get(ref));
}

async function leave(sandboxes: ContainerSandboxes, container: ContainerRecord, network: Network): Promise<void> {
  if (container.hostConfig.NetworkMode === "host" && network.record.driver === "host") {
    throw invalid("cannot disconnect container from host network - container was created in host network mode");
  }
  const sandbox = sandboxes.find(container.id);
  const endpoint = sandbox?.endpoints.find((candidate) => candidate.network === network);
  if (sandbox === undefined || endpoint === undefined) {
    throw new EngineError("system", `container ${container.id} is not connected to network ${network.name}`);
  }
  await sandboxes.disconnect(sandbox, endpoint);
}

/** `disconnect -f` of a container that nobody knows any more. */
export function findEndpoint(network: Network, name: string): Endpoint {
  const endpoint = network.findEndpoint(name);
  if (endpoint === undefined) throw new EngineError("notFound", `endpoint ${name} not found`);
  return endpoint;
}

function addMembership(
  context: NetworkContext,
  container: ContainerRecord,
  network: Network,
  settings: Attachment,
): void {
  const named = isUserNetwork(network.name)
    ? { ...settings, DNSNames: dnsNames(container, settings.Aliases) }
    : settings;
  validateSettings(named, network.name, network.record);
  if (checkNetworks(context, container, network)) container.networks[network.name] = named;
}

function refuseDuringRemoval({ id, state }: ContainerRecord): void {
  if (state.status !== "removing" && state.status !== "dead") return;
  throw new EngineError(
    "system",
    `Container ${id} is marked for removal and cannot be connected or disconnected to the network`,
  );
}
