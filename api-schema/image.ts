/** moby api/types/image and api/types/registry (28.5, API 1.51), in the order that clients see. */
import { ContainerConfig } from "#api-schema/container-config";
import * as go from "#api-schema/go";

/** One element of `GET /images/json`. */
export type ImageSummary = go.Static<typeof ImageSummary>;
export const ImageSummary = go.struct("Summary", {
  Containers: go.int64(),
  Created: go.int64(),
  Id: go.string(),
  Labels: go.map(go.string()),
  ParentId: go.string(),
  RepoDigests: go.slice(go.string()),
  RepoTags: go.slice(go.string()),
  SharedSize: go.int64(),
  Size: go.int64(),
  /** Until API 1.43. */
  VirtualSize: go.int64({ omitempty: true }),
});
export const ImageSummaries = go.slice(ImageSummary);

/** moby merges an image's config with a map, which prints its keys sorted on every level. */
const SortedHealthConfig = go.struct("HealthcheckConfig", {
  Interval: go.int64({ omitempty: true }),
  Retries: go.int({ omitempty: true }),
  StartInterval: go.int64({ omitempty: true }),
  StartPeriod: go.int64({ omitempty: true }),
  Test: go.slice(go.string(), { omitempty: true }),
  Timeout: go.int64({ omitempty: true }),
});

/** The part of a container's config that an image keeps. Sorted by name: moby merges it with a map of old fields. */
export type ImageConfigFields = go.Static<typeof ImageConfigFields>;
export const ImageConfigFields = go.struct("DockerOCIImageConfig", {
  ArgsEscaped: go.bool({ omitempty: true }),
  Cmd: go.slice(go.string()),
  Entrypoint: go.slice(go.string()),
  Env: go.slice(go.string()),
  ExposedPorts: go.map(go.empty, { omitempty: true }),
  Healthcheck: go.ptr(SortedHealthConfig, { omitempty: true }),
  Labels: go.map(go.string()),
  OnBuild: go.slice(go.string()),
  Shell: go.slice(go.string(), { omitempty: true }),
  StopSignal: go.string({ omitempty: true }),
  User: go.string(),
  Volumes: go.map(go.empty),
  WorkingDir: go.string(),
});

/** The same until API 1.49: with the fields that never meant anything in an image. */
export const LegacyImageConfigFields = go.struct("DockerOCIImageConfig", {
  ArgsEscaped: go.bool({ omitempty: true }),
  AttachStderr: go.bool(),
  AttachStdin: go.bool(),
  AttachStdout: go.bool(),
  Cmd: go.slice(go.string()),
  Domainname: go.string(),
  Entrypoint: go.slice(go.string()),
  Env: go.slice(go.string()),
  ExposedPorts: go.map(go.empty, { omitempty: true }),
  Healthcheck: go.ptr(SortedHealthConfig, { omitempty: true }),
  Hostname: go.string(),
  Image: go.string(),
  Labels: go.map(go.string()),
  OnBuild: go.slice(go.string()),
  OpenStdin: go.bool(),
  Shell: go.slice(go.string(), { omitempty: true }),
  StdinOnce: go.bool(),
  StopSignal: go.string({ omitempty: true }),
  Tty: go.bool(),
  User: go.string(),
  Volumes: go.map(go.empty),
  WorkingDir: go.string(),
});

const graphDriver = go.struct("DriverData", { Data: go.map(go.string()), Name: go.string() });
const rootFs = go.struct("RootFS", {
  Type: go.string({ omitempty: true }),
  Layers: go.slice(go.string(), { omitempty: true }),
});

const inspectFields = {
  Id: go.string(),
  RepoTags: go.slice(go.string()),
  RepoDigests: go.slice(go.string()),
  Parent: go.string(),
  Comment: go.string(),
  Created: go.string({ omitempty: true }),
  /** Until API 1.44. */
  Container: go.string({ omitempty: true }),
  /** Until API 1.44; a whole container config. */
  ContainerConfig: go.ptr(ContainerConfig, { omitempty: true }),
  DockerVersion: go.string(),
  Author: go.string(),
  Architecture: go.string(),
  Variant: go.string({ omitempty: true }),
  Os: go.string(),
  OsVersion: go.string({ omitempty: true }),
  Size: go.int64(),
  /** Until API 1.43. */
  VirtualSize: go.int64({ omitempty: true }),
  GraphDriver: graphDriver,
  RootFS: rootFs,
  Metadata: go.struct("Metadata", { LastTagTime: go.time() }),
};

/** `GET /images/{name}/json`. `Config` comes last, as moby's merged struct prints it. */
export type ImageInspect = go.Static<typeof ImageInspect>;
export const ImageInspect = go.struct("InspectResponse", { ...inspectFields, Config: ImageConfigFields });
export const LegacyImageInspect = go.struct("InspectResponse", { ...inspectFields, Config: LegacyImageConfigFields });

export type HistoryItem = go.Static<typeof HistoryItem>;
export const HistoryItem = go.struct("HistoryResponseItem", {
  Comment: go.string(),
  Created: go.int64(),
  CreatedBy: go.string(),
  Id: go.string(),
  Size: go.int64(),
  Tags: go.slice(go.string()),
});
export const History = go.slice(HistoryItem);

export type DeleteItem = go.Static<typeof DeleteItem>;
export const DeleteItem = go.struct("DeleteResponse", {
  Deleted: go.string({ omitempty: true }),
  Untagged: go.string({ omitempty: true }),
});
export const DeleteItems = go.slice(DeleteItem);

export type ImagesPruneReport = go.Static<typeof ImagesPruneReport>;
export const ImagesPruneReport = go.struct("PruneReport", {
  ImagesDeleted: go.slice(DeleteItem),
  SpaceReclaimed: go.uint64(),
});

export type SearchItem = go.Static<typeof SearchItem>;
export const SearchItem = go.struct("SearchResult", {
  star_count: go.int(),
  is_official: go.bool(),
  name: go.string(),
  is_automated: go.bool(),
  description: go.string(),
});
export const SearchItems = go.slice(SearchItem);

export const AuthReply = go.struct("AuthenticateOKBody", { IdentityToken: go.string(), Status: go.string() });
export const CommitReply = go.struct("CommitResponse", { Id: go.string() });

export type OciPlatform = go.Static<typeof OciPlatform>;
export const OciPlatform = go.struct("v1.Platform", {
  architecture: go.string(),
  os: go.string(),
  "os.version": go.string({ omitempty: true }),
  "os.features": go.slice(go.string(), { omitempty: true }),
  variant: go.string({ omitempty: true }),
});

/** `GET /distribution/{name}/json`. */
export type DistributionInspect = go.Static<typeof DistributionInspect>;
export const DistributionInspect = go.struct("DistributionInspect", {
  Descriptor: go.struct("Descriptor", { mediaType: go.string(), digest: go.string(), size: go.int64() }),
  Platforms: go.slice(OciPlatform),
});

/** `X-Registry-Auth` and the body of `POST /auth` (moby api/types/registry). */
export type AuthConfig = go.Static<typeof AuthConfig>;
export const AuthConfig = go.struct("registry.AuthConfig", {
  username: go.string({ omitempty: true }),
  password: go.string({ omitempty: true }),
  auth: go.string({ omitempty: true }),
  email: go.string({ omitempty: true }),
  serveraddress: go.string({ omitempty: true }),
  identitytoken: go.string({ omitempty: true }),
  registrytoken: go.string({ omitempty: true }),
});
