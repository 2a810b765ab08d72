import { type Address, contains, type Prefix, prefixOf } from "#network";

export interface Cidr {
  readonly address: Address;
  readonly prefix: Prefix;
}

interface Choice {
  /** In the kernel's order. */
  readonly present: readonly Cidr[];
  /** --fixed-cidr: what containers may get. */
  readonly range: Cidr | undefined;
  /** It was named by --bridge: its addresses are not ours to change. */
  readonly isUserManaged: boolean;
}

/** Which address that is on the default network's bridge makes its gateway and subnet (moby selectBIP): undefined if none. */
export function chooseBridgeAddress({ present, range, isUserManaged }: Choice): Cidr | undefined {
  const isLinkLocalWanted = range !== undefined && isKernelsOwn(range);
  const [first, ...others] = isLinkLocalWanted ? present : present.filter((cidr) => !isKernelsOwn(cidr));
  if (first === undefined || range === undefined) return first;
  const all = [first, ...others];
  const chosen =
    all.find(({ prefix }) => contains(prefix, range.address)) ??
    all.find(({ address }) => contains(range.prefix, address)) ??
    first;
  if (isUserManaged) return chosen;
  if (!contains(chosen.prefix, range.address)) return undefined;
  const isWider = range.prefix.length < chosen.prefix.length;
  return isWider ? { ...chosen, prefix: prefixOf(chosen.address, range.prefix.length) } : chosen;
}

/** Whether the range lies in the subnet. */
export const isWithin = (subnet: Prefix, range: Cidr): boolean =>
  contains(subnet, range.address) && range.prefix.length >= subnet.length;

/** In fe80::/64, where the kernel puts an address by itself. */
const isKernelsOwn = ({ address: { family, value } }: Cidr): boolean => family === 6 && value >> 64n === 0xfe80n << 48n;
