import type { Relay, Upstream } from "#network";
import { parseLink } from "../links/legacy-links.ts";
import { isUserNetwork } from "../modes.ts";
import { addressesOf, type ContainerSandbox, type Endpoint } from "../network.ts";

/** What a sandbox's resolver does with names that are nobody's here. */
export interface Resolver {
  readonly upstreams: readonly Upstream[];
  readonly isNdotsSet: boolean;
}

/** From its first user network on a container asks our resolver, and goes on so when it has left them all. */
export const needsResolver = (relay: Relay, { id, endpoints }: ContainerSandbox): boolean =>
  relay.hasResolver(id) || endpoints.some(({ network }) => isUserNetwork(network.name));

const hasWayOut = ({ endpoints }: ContainerSandbox): boolean =>
  endpoints.some(({ network }) => network.hasInterfaces && !network.record.isInternal);

export const linksOf = (links: readonly string[] | null): Record<string, string> =>
  Object.fromEntries((links ?? []).map(parseLink).map(({ alias, name }) => [alias.toLowerCase(), name.toLowerCase()]));

/** The others on its network find it. */
export function announce(relay: Relay, endpoint: Endpoint): void {
  const { id, network, names } = endpoint;
  if (names.length > 0) relay.putEndpoint({ id, network: network.id, names, addresses: addressesOf(endpoint) });
}

/** Opens the sandbox's resolver, or tells it which networks it may look into now. */
export async function serveNames(
  relay: Relay,
  sandbox: ContainerSandbox,
  { isNew, ...resolver }: Resolver & { readonly isNew: boolean },
): Promise<void> {
  const { id, key, endpoints } = sandbox;
  const networks = endpoints.map(({ network, links }) => ({ id: network.id, name: network.name, links }));
  await relay.putResolver({ id, key, networks, canForward: hasWayOut(sandbox), ...resolver }, { isNew });
}
