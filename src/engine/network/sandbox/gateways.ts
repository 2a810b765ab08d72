import { type Address, type DefaultRoute, type Family, formatAddress } from "#network";
import type { Endpoint } from "../network.ts";

/** Which endpoint of a sandbox carries what is for elsewhere, by family. */
export interface Gateways {
  readonly endpoint4: Endpoint | undefined;
  readonly endpoint6: Endpoint | undefined;
}

function routeOf({ network, address4, address6 }: Endpoint, family: Family): Address | undefined {
  const own = family === 4 ? address4 : address6;
  return own === undefined ? undefined : network.routeFrom(own);
}

const routeCount = (endpoint: Endpoint): number =>
  Number(routeOf(endpoint, 4) !== undefined) + Number(routeOf(endpoint, 6) !== undefined);

/** moby's Endpoint.Less: the better gateway first. */
function compare(a: Endpoint, b: Endpoint): number {
  return (
    b.priority - a.priority ||
    Number(a.network.record.isInternal) - Number(b.network.record.isInternal) ||
    routeCount(b) - routeCount(a) ||
    Number(a.network.name > b.network.name) - Number(a.network.name < b.network.name)
  );
}

export function chooseGateways(endpoints: readonly Endpoint[]): Gateways {
  const sorted = endpoints.filter((endpoint) => endpoint.network.hasInterfaces).sort(compare);
  const dual = sorted.find((endpoint) => routeCount(endpoint) === 2);
  const first4 = sorted.find((endpoint) => routeOf(endpoint, 4) !== undefined);
  const first6 = sorted.find((endpoint) => routeOf(endpoint, 6) !== undefined);
  if (dual === undefined) return { endpoint4: first4, endpoint6: first6 };
  // As moby: the first dual-stack endpoint has both, unless single ones of both families stand before it.
  const isBefore = (endpoint: Endpoint | undefined) =>
    endpoint !== undefined && sorted.indexOf(endpoint) < sorted.indexOf(dual);
  return isBefore(first4) && isBefore(first6)
    ? { endpoint4: first4, endpoint6: first6 }
    : { endpoint4: dual, endpoint6: dual };
}

/** For the sandbox's routing tables. */
export function defaultRoutes({ endpoint4, endpoint6 }: Gateways): DefaultRoute[] {
  return ([4, 6] as const).flatMap((family) => {
    const endpoint = family === 4 ? endpoint4 : endpoint6;
    const gateway = endpoint === undefined ? undefined : routeOf(endpoint, family);
    return endpoint === undefined || gateway === undefined
      ? []
      : [{ name: endpoint.interfaceName, family, gateway: endpoint.network.isRoutedByDevice ? undefined : gateway }];
  });
}

export const gatewayText = (endpoint: Endpoint, family: Family): string => {
  const route = routeOf(endpoint, family);
  return route === undefined || endpoint.network.isRoutedByDevice ? "" : formatAddress(route);
};
