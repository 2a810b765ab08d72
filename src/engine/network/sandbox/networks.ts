/** The networks that a container is on, or is to be on. */
import type { ContainerRecord } from "#storage";
import type { NetworkContext } from "../context.ts";
import { invalid } from "../errors.ts";
import { isUserNetwork } from "../modes.ts";
import type { Network } from "../network.ts";
import type { Attachment } from "./endpoint-settings.ts";

export const sharedNetwork =
  "container sharing network namespace with another container or host cannot be connected to any other network";
const noNetwork = "container cannot be connected to multiple networks with one of the networks in private (none) mode";

/** By name; a user's network by the id that it had when the container joined it. */
export const referenceOf = (name: string, settings: Attachment | undefined): string =>
  isUserNetwork(name) && settings !== undefined && settings.NetworkID !== "" ? settings.NetworkID : name;

/** The network of `--network` has eth0, the others follow by name. */
export function orderedNames(container: ContainerRecord): string[] {
  const main = container.hostConfig.NetworkMode;
  return Object.keys(container.networks).sort(
    (a, b) => Number(b === main) - Number(a === main) || Number(a > b) - Number(a < b),
  );
}

/** moby's updateNetworkSettings: which networks go together. False when the container is on it already. */
export function checkNetworks(context: NetworkContext, container: ContainerRecord, network: Network): boolean {
  const isHost = (candidate: Network) => candidate.record.driver === "host";
  if (container.hostConfig.NetworkMode !== "host" && isHost(network)) {
    throw invalid("cannot connect container to host network - container must be created in host network mode");
  }
  for (const [name, settings] of Object.entries(container.networks)) {
    const other = context.networks.find(referenceOf(name, settings));
    if (other === undefined) continue;
    if (other === network) return false;
    if (isHost(other) || isHost(network)) throw invalid(sharedNetwork);
    if (other.name === "none" || network.name === "none") throw invalid(noNetwork);
  }
  return true;
}
