/** The row of a volume. Its data lies in `<data-root>/volumes/<name>/_data`. */
export interface VolumeRecord {
  readonly name: string;
  readonly driver: string;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly labels: Record<string, string> | null;
  /** What the local driver mounts: `type`, `device`, `o`. */
  readonly options: Record<string, string> | null;
  /** Until it is known to outlive it: the container whose create made it. If that has never come to be, the volume goes. */
  readonly createdFor?: string;
}
