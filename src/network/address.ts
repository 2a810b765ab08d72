import { isIPv4, isIPv6 } from "node:net";

export type Family = 4 | 6;

/** An IP address as a number: comparing, masking and counting need no more. */
export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

/** An address range; host bits are zero. */
export interface Prefix {
  readonly family: Family;
  readonly base: bigint;
  readonly length: number;
}

export const widthOf = (family: Family): number => (family === 4 ? 32 : 128);

/** Undefined for anything that is not a literal address. IPv4 mapped into IPv6 is taken as IPv4, as Go's netip.Unmap. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) {
    const value = text.split(".").reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
    return { family: 4, value };
  }
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const value = parseGroups(text);
  const isMapped = value >> 32n === 0xffffn;
  return isMapped ? { family: 4, value: value & 0xffffffffn } : { family: 6, value };
}

function parseGroups(text: string): bigint {
  // URL's parser writes the canonical form: hex groups only, a dotted IPv4 tail included.
  const canonical = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const [head = "", tail = ""] = canonical.split("::");
  const groups = (part: string): string[] => (part === "" ? [] : part.split(":"));
  const front = groups(head);
  const back = groups(tail);
  const zeros = new Array<string>(8 - front.length - back.length).fill("0");
  return [...front, ...zeros, ...back].reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

export function formatAddress({ family, value }: Address): string {
  if (family === 4) {
    const bits = Number(value);
    return `${bits >>> 24}.${(bits >>> 16) & 255}.${(bits >>> 8) & 255}.${bits & 255}`;
  }
  if (value === 0n) return "::";
  const digits = value.toString(16).padStart(32, "0");
  const groups = Array.from({ length: 8 }, (_, i) => digits.slice(4 * i, 4 * i + 4).replace(/^0{1,3}/, ""));
  const zeros = longestZeros(groups);
  if (zeros.length < 2) return groups.join(":");
  return `${groups.slice(0, zeros.start).join(":")}::${groups.slice(zeros.start + zeros.length).join(":")}`;
}

/** The run that `::` stands for: the first of the longest ones (RFC 5952, 4.2). */
function longestZeros(groups: readonly string[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start += 1) {
    let end = start;
    while (groups[end] === "0") end += 1;
    if (end - start > best.length) best = { start, length: end - start };
  }
  return best;
}

/** Network byte order. */
export function addressBytes({ family, value }: Address): Uint8Array {
  const bytes = Buffer.alloc(widthOf(family) / 8);
  if (family === 4) bytes.writeUInt32BE(Number(value));
  else bytes.writeBigUInt64BE(BigInt.asUintN(64, value), bytes.writeBigUInt64BE(value >> 64n));
  return bytes;
}

export function addressFromBytes(bytes: Uint8Array): Address {
  const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return { family: bytes.length === 4 ? 4 : 6, value };
}

/** CIDR notation with its host bits kept beside the masked range: `--bip 172.17.0.1/16` is both. */
export function parseCidr(text: string): { readonly address: Address; readonly prefix: Prefix } | undefined {
  const [host, bits, ...rest] = text.split("/");
  if (host === undefined || bits === undefined || rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(bits)) return undefined;
  const address = parseAddress(host);
  if (address === undefined || Number(bits) > widthOf(address.family)) return undefined;
  // An IPv4-mapped address has shed 96 bits that its prefix length still counts.
  if (address.family === 4 && host.includes(":")) return undefined;
  return { address, prefix: prefixOf(address, Number(bits)) };
}

/** Undefined also when host bits are set. */
export function parsePrefix(text: string): Prefix | undefined {
  const cidr = parseCidr(text);
  return cidr !== undefined && cidr.address.value === cidr.prefix.base ? cidr.prefix : undefined;
}

export function prefixOf(address: Address, length: number): Prefix {
  const hostBits = BigInt(widthOf(address.family) - length);
  return { family: address.family, base: (address.value >> hostBits) << hostBits, length };
}

export const formatPrefix = (prefix: Prefix): string =>
  `${formatAddress({ family: prefix.family, value: prefix.base })}/${prefix.length}`;

export const sizeOf = (prefix: Prefix): bigint => 1n << BigInt(widthOf(prefix.family) - prefix.length);
export const lastOf = (prefix: Prefix): bigint => prefix.base + sizeOf(prefix) - 1n;

export const contains = (prefix: Prefix, address: Address): boolean =>
  prefix.family === address.family && address.value >= prefix.base && address.value <= lastOf(prefix);

export const overlaps = (a: Prefix, b: Prefix): boolean =>
  a.family === b.family && a.base <= lastOf(b) && b.base <= lastOf(a);

export const isSame = (a: Address, b: Address): boolean => a.family === b.family && a.value === b.value;

export const isLoopback = (address: Address): boolean =>
  address.family === 4 ? address.value >> 24n === 127n : address.value === 1n;

export const isUnspecified = (address: Address): boolean => address.value === 0n;
