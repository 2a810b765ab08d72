import type { IPAM, IPAMConfig } from "#api-schema/network";
import {
  contains,
  type Family,
  formatAddress,
  formatPrefix,
  overlaps,
  type Prefix,
  parseAddress,
  parseCidr,
} from "#network";
import { invalid, joinMessages } from "../errors.ts";

const nameOf = (family: Family): string => `IPv${family}`;

/** moby's ValidateIPAM: everything that is wrong, in one answer. */
export function validateIpam(ipam: IPAM | null, isIpv6Enabled: boolean): void {
  const problems = (ipam?.Config ?? []).flatMap((config) => problemsOf(config, isIpv6Enabled));
  if (problems.length > 0) throw invalid(`invalid network config:\n${joinMessages(problems)}`);
}

function problemsOf(config: IPAMConfig, isIpv6Enabled: boolean): string[] {
  const cidr = parseCidr(config.Subnet);
  if (cidr === undefined) return [`invalid subnet ${config.Subnet}: invalid CIDR block notation`];
  const subnet = cidr.prefix;
  if (subnet.family === 6 && !isIpv6Enabled) return [];
  const problems: string[] = [];
  if (cidr.address.value !== subnet.base) {
    problems.push(
      `invalid subnet ${formatAddress(cidr.address)}/${subnet.length}: it should be ${formatPrefix(subnet)}`,
    );
  }
  problems.push(...rangeProblems(config.IPRange, subnet));
  const gateway = addressProblem(config.Gateway, subnet);
  if (gateway !== undefined) problems.push(`invalid gateway ${config.Gateway}: ${gateway}`);
  for (const [name, address] of Object.entries(config.AuxiliaryAddresses ?? {})) {
    const problem = addressProblem(address, subnet);
    if (problem !== undefined) problems.push(`invalid auxiliary address ${name}: ${problem}`);
  }
  return problems;
}

function rangeProblems(text: string, subnet: Prefix): string[] {
  if (text === "") return [];
  const cidr = parseCidr(text);
  if (cidr === undefined) return [`invalid ip-range ${text}: invalid CIDR block notation`];
  const range = cidr.prefix;
  if (range.family !== subnet.family) {
    return [`invalid ip-range ${text}: parent subnet is an ${nameOf(subnet.family)} block`];
  }
  const [shown, parent] = [`${formatAddress(cidr.address)}/${range.length}`, formatPrefix(subnet)];
  const problems: string[] = [];
  if (range.length < subnet.length) {
    problems.push(`invalid ip-range ${text}: CIDR block is bigger than its parent subnet ${parent}`);
  }
  if (cidr.address.value !== range.base)
    problems.push(`invalid ip-range ${shown}: it should be ${formatPrefix(range)}`);
  if (!overlaps(subnet, range)) {
    problems.push(`invalid ip-range ${text}: parent subnet ${parent} doesn't contain ip-range`);
  }
  return problems;
}

function addressProblem(text: string, subnet: Prefix): string | undefined {
  if (text === "") return undefined;
  const address = parseAddress(text);
  if (address === undefined) return "invalid address";
  if (address.family !== subnet.family) return `parent subnet is an ${nameOf(subnet.family)} block`;
  return contains(subnet, address) ? undefined : `parent subnet ${formatPrefix(subnet)} doesn't contain this address`;
}
