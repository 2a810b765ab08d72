import type { Volume } from "#api-schema/volume";
import type { LocatedVolume } from "./store.ts";

/** As the API shows it. */
export const shown = (volume: LocatedVolume): Volume => ({
  ClusterVolume: null,
  CreatedAt: volume.createdAt,
  Driver: volume.driver,
  Labels: volume.labels,
  Mountpoint: volume.mountpoint,
  Name: volume.name,
  Options: volume.options,
  Scope: "local",
  Status: null,
  UsageData: null,
});
