/** moby api/types/volume (28.5, API 1.51), in Go's field order. */
import * as go from "#api-schema/go";

export const UsageData = go.struct("UsageData", { RefCount: go.int64(), Size: go.int64() });

export type Volume = go.Static<typeof Volume>;
export const Volume = go.struct("Volume", {
  ClusterVolume: go.ptr(go.empty, { omitempty: true }),
  CreatedAt: go.string({ omitempty: true }),
  Driver: go.string(),
  Labels: go.map(go.string()),
  Mountpoint: go.string(),
  Name: go.string(),
  Options: go.map(go.string()),
  Scope: go.string(),
  Status: go.map(go.any(), { omitempty: true }),
  UsageData: go.ptr(UsageData, { omitempty: true }),
});

/** The answer of GET /volumes. */
export type VolumeList = go.Static<typeof VolumeList>;
export const VolumeList = go.struct("ListResponse", {
  Volumes: go.slice(go.ptr(Volume)),
  Warnings: go.slice(go.string()),
});

/** The body of POST /volumes/create. */
export type VolumeCreateRequest = go.Static<typeof VolumeCreateRequest>;
export const VolumeCreateRequest = go.struct("volume.CreateOptions", {
  ClusterVolumeSpec: go.ptr(go.struct("volume.ClusterVolumeSpec", {}), { omitempty: true }),
  Driver: go.string({ omitempty: true }),
  DriverOpts: go.map(go.string(), { omitempty: true }),
  Labels: go.map(go.string(), { omitempty: true }),
  Name: go.string({ omitempty: true }),
});

/** The answer of POST /volumes/prune. */
export type VolumePruneReport = go.Static<typeof VolumePruneReport>;
export const VolumePruneReport = go.struct("PruneReport", {
  VolumesDeleted: go.slice(go.string()),
  SpaceReclaimed: go.uint64(),
});
