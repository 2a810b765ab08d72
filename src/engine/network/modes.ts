import type { ContainerRecord } from "#storage";
import { isContainerMode } from "../spec/modes.ts";

/** A network that a user made (moby's NetworkMode.IsUserDefined); the others are dockerd's own and work by older rules. */
export const isUserNetwork = (name: string): boolean => name !== "" && !isPredefined(name) && !isContainerMode(name);

/** A name that dockerd keeps for itself. */
export const isPredefined = (name: string): boolean => ["default", "bridge", "host", "none"].includes(name);

/** `--sysctl net.ipv6.conf.all.disable_ipv6=1`: it gets no IPv6 address on any network. */
export const isIpv6Off = ({ hostConfig }: Pick<ContainerRecord, "hostConfig">): boolean =>
  hostConfig.Sysctls?.["net.ipv6.conf.all.disable_ipv6"] === "1";
