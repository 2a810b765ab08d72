import type { Address, Family, Names } from "#network";
import { parseLink } from "./legacy-links.ts";
import type { ContainerSandbox, Endpoint } from "./network.ts";

/** What the resolver of one container knows: who is on its networks now. Nothing is copied, so nothing goes stale. */
export function namesFor(sandbox: ContainerSandbox): Names {
  return {
    addresses: (name, family) => resolve(sandbox, name.toLowerCase(), family),
    nameOf: (address) => nameOf(sandbox, address),
  };
}

/** A name may be followed by that of its network, and both may hold dots: `a.b.c` is also a.b in network c and a in b.c. */
function resolve(sandbox: ContainerSandbox, name: string, family: Family): readonly Address[] | undefined {
  const found = resolveOn(sandbox, sandbox.endpoints, name, family);
  if (found !== undefined) return found;
  for (let dot = name.lastIndexOf("."); dot > 0; dot = name.lastIndexOf(".", dot - 1)) {
    const endpoints = sandbox.endpoints.filter(({ network }) => network.name === name.slice(dot + 1));
    const addresses = resolveOn(sandbox, endpoints, name.slice(0, dot), family);
    if (addresses !== undefined) return addresses;
  }
  return undefined;
}

/** Undefined when nobody has the name; empty when whoever has it has no address of this family. */
function resolveOn(
  { container }: ContainerSandbox,
  endpoints: readonly Endpoint[],
  name: string,
  family: Family,
): readonly Address[] | undefined {
  for (const { network } of endpoints) {
    const link = (container.networks[network.name]?.Links ?? []).map(parseLink).find(({ alias }) => alias === name);
    const holders = network.endpointsNamed(link?.name ?? name);
    if (holders === undefined) continue;
    return [...holders].flatMap(({ address4, address6 }) => {
      const address = family === 4 ? address4 : address6;
      return address === undefined ? [] : [address];
    });
  }
  return undefined;
}

function nameOf(sandbox: ContainerSandbox, address: Address): string | undefined {
  for (const { network } of sandbox.endpoints) {
    const name = network.endpointAt(address)?.names[0];
    if (name !== undefined) return `${name}.${network.name}`;
  }
  return undefined;
}
