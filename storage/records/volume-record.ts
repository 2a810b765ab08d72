/** The row of a volume. Its data lies in `<data-root>/volumes/<name>/_data`. */
export interface VolumeRecord {
  readonly name: string;
  readonly driver: string;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly labels: Record<string, string> | null;
  /** What the local driver mounts: `type`, `device`, `o`. */
  readonly options: Record<string, string> | null;
  /** Of an anonymous one, until it is known to outlive it: the container that it goes with. */
  readonly createdFor?: string;
}
