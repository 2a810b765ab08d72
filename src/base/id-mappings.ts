/** The ids of a user namespace (user_namespaces(7)), with the field names of the OCI specification. */
export interface IdMapping {
  /** What processes in the namespace say. */
  readonly containerID: number;
  /** What everybody else says to the same. */
  readonly hostID: number;
  readonly size: number;
}

export interface IdMappings {
  readonly uids: readonly IdMapping[];
  readonly gids: readonly IdMapping[];
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Whom the kernel shows where an id has no other name: nobody. */
export const overflowId = 65534;

export const toHost = (ranges: readonly IdMapping[], id: number): number | undefined => map(inverseOf(ranges), id);

export const toContainer = (ranges: readonly IdMapping[], id: number): number | undefined => map(ranges, id);

/** Who is root inside, as the host calls it. */
export const rootOf = ({ uids, gids }: IdMappings): Owner => ({
  uid: toHost(uids, 0) ?? overflowId,
  gid: toHost(gids, 0) ?? overflowId,
});

/** Shows the host's ids as those of the container. */
export const inverse = ({ uids, gids }: IdMappings): IdMappings => ({ uids: inverseOf(uids), gids: inverseOf(gids) });

/** As /proc/<pid>/uid_map takes it. */
export const mapText = (ranges: readonly IdMapping[]): string =>
  ranges.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join("");

const inverseOf = (ranges: readonly IdMapping[]): IdMapping[] =>
  ranges.map(({ containerID, hostID, size }) => ({ containerID: hostID, hostID: containerID, size }));

function map(ranges: readonly IdMapping[], hostId: number): number | undefined {
  const range = ranges.find(({ hostID, size }) => hostId >= hostID && hostId < hostID + size);
  return range === undefined ? undefined : range.containerID + hostId - range.hostID;
}
