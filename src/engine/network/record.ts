import type { Id } from "#base/ids";

/** One address range of a network: as it was asked for (empty where nothing was) and as it was given. */
export interface PoolRecord {
  readonly family: 4 | 6;
  readonly requested: {
    readonly subnet: string;
    readonly ipRange: string;
    readonly gateway: string;
    readonly auxiliaryAddresses: Readonly<Record<string, string>> | null;
  };
  /** CIDR notation. */
  readonly subnet: string;
  /** Where addresses are taken from; empty for the whole subnet. */
  readonly ipRange: string;
  /** The bridge's address, without prefix length; empty where the network has none. */
  readonly gateway: string;
}

/** A network as the user made it. Endpoints are not kept here: they are in the records of the containers. */
export interface NetworkRecord {
  readonly id: Id;
  readonly name: string;
  /** RFC 3339 with nanoseconds. */
  readonly created: string;
  readonly driver: string;
  readonly scope: string;
  readonly isIpv4Enabled: boolean;
  readonly isIpv6Enabled: boolean;
  readonly isInternal: boolean;
  readonly isAttachable: boolean;
  readonly isConfigOnly: boolean;
  /** Name of the configuration network that it was made from; usually empty. */
  readonly configFrom: string;
  readonly ipamDriver: string;
  readonly ipamOptions: Readonly<Record<string, string>> | null;
  readonly pools: readonly PoolRecord[];
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** The bridge interface was there before us: it is not ours to remove. */
  readonly isBridgeForeign: boolean;
}
