import * as go from "#api-schema/go";

export type BindOptions = go.Static<typeof BindOptions>;
export const BindOptions = go.struct("mount.BindOptions", {
  Propagation: go.string({ omitempty: true, type: "mount.Propagation" }),
  NonRecursive: go.bool({ omitempty: true }),
  CreateMountpoint: go.bool({ omitempty: true }),
  ReadOnlyNonRecursive: go.bool({ omitempty: true }),
  ReadOnlyForceRecursive: go.bool({ omitempty: true }),
});

export const Driver = go.struct("mount.Driver", {
  Name: go.string({ omitempty: true }),
  Options: go.map(go.string(), { omitempty: true }),
});

export type VolumeOptions = go.Static<typeof VolumeOptions>;
export const VolumeOptions = go.struct("mount.VolumeOptions", {
  NoCopy: go.bool({ omitempty: true }),
  Labels: go.map(go.string(), { omitempty: true }),
  Subpath: go.string({ omitempty: true }),
  DriverConfig: go.ptr(Driver, { omitempty: true }),
});

export type TmpfsOptions = go.Static<typeof TmpfsOptions>;
export const TmpfsOptions = go.struct("mount.TmpfsOptions", {
  SizeBytes: go.int64({ omitempty: true }),
  Mode: go.uint32({ omitempty: true, type: "fs.FileMode" }),
  Options: go.slice(go.slice(go.string()), { omitempty: true }),
});

/** One entry of `HostConfig.Mounts`, as `--mount` sends it. */
export type Mount = go.Static<typeof Mount>;
export const Mount = go.struct("mount.Mount", {
  Type: go.string({ omitempty: true, type: "mount.Type" }),
  Source: go.string({ omitempty: true }),
  Target: go.string({ omitempty: true }),
  ReadOnly: go.bool({ omitempty: true }),
  Consistency: go.string({ omitempty: true, type: "mount.Consistency" }),
  BindOptions: go.ptr(BindOptions, { omitempty: true }),
  VolumeOptions: go.ptr(VolumeOptions, { omitempty: true }),
  ImageOptions: go.ptr(go.struct("mount.ImageOptions", { Subpath: go.string({ omitempty: true }) }), {
    omitempty: true,
  }),
  TmpfsOptions: go.ptr(TmpfsOptions, { omitempty: true }),
  ClusterOptions: go.ptr(go.empty, { omitempty: true }),
});

/** One entry of `Mounts` in a container's inspect answer: what is mounted where. */
export type MountPoint = go.Static<typeof MountPoint>;
export const MountPoint = go.struct("container.MountPoint", {
  Type: go.string({ omitempty: true, type: "mount.Type" }),
  Name: go.string({ omitempty: true }),
  Source: go.string(),
  Destination: go.string(),
  Driver: go.string({ omitempty: true }),
  Mode: go.string(),
  RW: go.bool(),
  Propagation: go.string(),
});
