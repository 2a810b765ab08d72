import type { HostConfig } from "#api-schema/container-config";
import type { IdMappings, Owner } from "#base/id-mappings";

/** `--userns-remap`: containers have user namespaces of these ids, unless they say `--userns host`. */
export interface UserRemap {
  readonly mappings: IdMappings;
  /** Their root, as the host calls it: the owner of what they shall find as root's. */
  readonly root: Owner;
  /** Path of a user namespace: a mount with its ids shows the files of the host as a container sees them. */
  readonly inverse: string;
}

export const remapOf = (
  { UsernsMode }: Pick<HostConfig, "UsernsMode">,
  remap: UserRemap | undefined,
): UserRemap | undefined => (UsernsMode === "host" ? undefined : remap);
