import type { NetworkCreateRequest } from "#api-schema/network";

/** What the CLI sends for `docker network create`. */
export const wish = (name: string, part: Partial<NetworkCreateRequest> = {}): NetworkCreateRequest => ({
  Name: name,
  Driver: "bridge",
  Scope: "",
  EnableIPv4: null,
  EnableIPv6: null,
  IPAM: { Driver: "default", Options: {}, Config: [] },
  Internal: false,
  Attachable: false,
  Ingress: false,
  ConfigOnly: false,
  ConfigFrom: null,
  Options: {},
  Labels: {},
  ...part,
});

export const subnet = (
  text: string,
  part: { IPRange?: string; Gateway?: string } = {},
): NetworkCreateRequest["IPAM"] => ({
  Driver: "default",
  Options: {},
  Config: [{ Subnet: text, IPRange: "", Gateway: "", AuxiliaryAddresses: null, ...part }],
});
