/** moby api/types/container.Summary: one element of GET /containers/json (28.5, API 1.51), in Go's field order. */
import * as go from "#api-schema/go";
import { MountPoint } from "#api-schema/mount";
import { EndpointSettings } from "#api-schema/network-settings";

export type Port = go.Static<typeof Port>;
export const Port = go.struct("Port", {
  IP: go.string({ omitempty: true }),
  PrivatePort: go.uint16(),
  PublicPort: go.uint16({ omitempty: true }),
  Type: go.string(),
});

export type ContainerSummary = go.Static<typeof ContainerSummary>;
export const ContainerSummary = go.struct("Summary", {
  Id: go.string(),
  Names: go.slice(go.string()),
  Image: go.string(),
  ImageID: go.string(),
  Command: go.string(),
  Created: go.int64(),
  Ports: go.slice(Port),
  SizeRw: go.int64({ omitempty: true }),
  SizeRootFs: go.int64({ omitempty: true }),
  Labels: go.map(go.string()),
  State: go.string(),
  Status: go.string(),
  HostConfig: go.struct("SummaryHostConfig", {
    NetworkMode: go.string({ omitempty: true }),
    Annotations: go.map(go.string(), { omitempty: true }),
  }),
  NetworkSettings: go.ptr(go.struct("NetworkSettingsSummary", { Networks: go.map(go.ptr(EndpointSettings)) })),
  Mounts: go.slice(MountPoint),
});
